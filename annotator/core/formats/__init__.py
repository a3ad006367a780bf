"""File formats: a new format is one new file here with a `SPEC` (or `SPECS`).

`registry` finds it; the command line, the window and the tests on every format follow. What to
write, with `labelme` as an example of a file for each image and `coco_instances` of one file:

* `SPEC = FormatSpec(id, title, about, write, read, recognises, images=…)` (`api`). Leave `write`
  or `read` out where there is no such way. Modules are imported when somebody asks for the list of
  formats, never before the window is painted; numpy and `raster` may stand at the top, torch,
  pyarrow and the like not.
* `write(content, target)` goes over `content.images()` once or more, never holds all of it, and
  gives bytes to `target.write(relative name, chunks)`; nothing else is written. It adds to
  `target.annotations`, calls `target.lose(what, where)` for whatever it cannot keep, and
  `target.fidelity.add(iou, where)` for shapes that may differ from the mask (`outlines` makes rings
  and measures them). `content.parts()` are the splits; `spec.image_name(image)` is where the image
  file will be, if `target.with_images`. Two images may differ by their ending only:
  `target.is_taken`. Names of categories: `content.names()`, `UNNAMED` for objects without one.
* `read(origin) -> Content`: find the images' folder (`resolver.image_folder`), then
  `content_of(Reading(folder, names), generator, name)` (`reading`). The generator gets a `Reading`,
  yields `reading.labelled(record, annotations, split)` image by image, and is run twice or more: it
  must say the same each time. `reading.record(key)` refuses names that lead out of the folder,
  `reading.category(name)` and `reading.annotation(shape, category)` give ids. What cannot be used
  is `reading.lose(what, where)`, where `where` names the file and line or entry; a `UserError` is
  for data that is not in this format at all. Files come from strangers: check numbers, sizes and
  lengths before using them (`png.decode`, `coco.reading.finite`, `whole`).
* `recognises(path)` looks at names and first bytes only.
* Tests: a consumer that is not ours, a round trip of random projects, damaged files
  (`tests/formats`).
"""
