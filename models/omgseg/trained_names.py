"""The classes OMG-Seg and RAP-SAM were trained with: facts about public data sets.

COCO's panoptic classes, YouTube-VIS 2019 and 2021, VIPSeg and Cityscapes
(spec/ovsam_omgseg.md, B.3). Which synonyms the authors added is not known here: the usual ones of
COCO stand in `resources/vocabularies`, and a class that shares any name counts as trained.
"""

from __future__ import annotations

_COCO_THINGS = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
    "fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, "
    "sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, "
    "bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, "
    "carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, "
    "tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, "
    "refrigerator, book, clock, vase, scissors, teddy bear, hair drier, toothbrush"
)
_COCO_STUFF = (
    "banner, blanket, bridge, cardboard, counter, curtain, door, wood floor, flower, fruit, "
    "gravel, house, light, mirror, net, pillow, platform, playing field, railroad, river, road, "
    "roof, sand, sea, shelf, snow, stairs, tent, towel, brick wall, stone wall, tiled wall, "
    "wooden wall, water, window blind, window, tree, fence, ceiling, sky, cabinet, table, floor, "
    "pavement, mountain, grass, dirt, paper, food, building, rock, wall, rug"
)
_YOUTUBE_VIS = (
    "giant panda, lizard, parrot, sedan, ape, snake, monkey, hand, rabbit, duck, fish, turtle, "
    "motorbike, leopard, fox, deer, owl, tiger, shark, frog, eagle, earless seal, flying disc, "
    "squirrel, whale"
)
_VIPSEG = (
    "stair, ladder, escalator, playground slide, handrail, rail, goal, pillar, pole, ground, "
    "athletic field, path, crosswalk, tower, windmill, well, stone, wood, ice, snowfield, "
    "grandstand, lake, waterfall, billboard, bulletin board, sculpture, pipeline, flag, parasol, "
    "cushion, carpet, roadblock, wheeled machine, ship, raft, tyre, lamp, cattle, plant, toy, "
    "ball net, backboard, bat, ball, cupboard, showcase, storage rack, box, trolley case, basket, "
    "bag, package, trash can, cage, plate, tub, pot, barrel, fishbowl, desk, seat, sofa, bathtub, "
    "gun, commode, roaster, machine, washing machine, fan, textiles, clothes, painting, poster, "
    "flower pot, tool, blackboard, tissue, screen, television, computer, printer, mobile phone, "
    "electronic product, instrument"
)
_CITYSCAPES = "sidewalk, traffic sign, vegetation, terrain, rider"

TRAINED = tuple(
    dict.fromkeys(
        name
        for names in (_COCO_THINGS, _COCO_STUFF, _YOUTUBE_VIS, _VIPSEG, _CITYSCAPES)
        for name in names.split(", ")
    )
)
"""Each name once. “Other animal” and the like are left out: they are no names."""
