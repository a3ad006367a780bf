"""The weight files this program knows: sizes, hashes, addresses and licences.

Where the numbers come from is said beside each group. None of these files is shipped with the
program, and none was downloaded to write this table; a number that turns out wrong shows as a
refused download, never as a wrong model.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from models.api import ModelError
from models.weights import Licence, Weight

_S_LAB_TERMS = (
    "Use and redistribution, in source or binary form, are permitted for non-commercial purposes "
    "only, provided the copyright notice (2022 S-Lab, Nanyang Technological University), the list "
    "of conditions and the disclaimer are kept. The names of the authors may not be used for "
    "endorsement. For commercial use you have to ask the authors. There is no warranty."
)
_APACHE_TERMS = (
    "Use, change and redistribution are permitted, commercially too, provided the licence and the "
    "notices are kept and changes are marked. The licence includes a grant of patents, which ends "
    "for those who sue over patents. There is no warranty."
)


def _mit(notice: str, url: str) -> Licence:
    terms = (
        "Use, change and redistribution are permitted, commercially too, provided the copyright "
        f"notice{notice} and the licence are kept. There is no warranty."
    )
    return Licence("MIT", url, non_commercial=False, text=terms)


_AGPL_TERMS = (
    "Use, change and redistribution are permitted, commercially too, provided everything that is "
    "derived from it is passed on under the same licence with its source, also to those who only "
    "use it over a network. There is no warranty. The publisher sells other terms."
)


def _s_lab(project: str, branch: str) -> Licence:
    url = f"https://github.com/{project}/blob/{branch}/LICENSE"
    return Licence("S-Lab License 1.0", url, non_commercial=True, text=_S_LAB_TERMS)


def _apache(project: str, branch: str) -> Licence:
    url = f"https://github.com/{project}/blob/{branch}/LICENSE"
    return Licence("Apache-2.0", url, non_commercial=False, text=_APACHE_TERMS)


_EDGESAM = _s_lab("chongzhou96/EdgeSAM", "master")
_OVSAM = _s_lab("HarborYuan/ovsam", "main")
_SAM = _apache("facebookresearch/segment-anything", "main")
_MOBILE_SAM = _apache("ChaoningZhang/MobileSAM", "master")
_EFFICIENT_SAM = _apache("yformer/EfficientSAM", "main")
_FAST_SAM = Licence(
    "AGPL-3.0",
    "https://github.com/CASIA-LMC-Lab/FastSAM/blob/main/LICENSE",
    non_commercial=False,
    text=_AGPL_TERMS,
)

_CLIP = _mit(" (2021 OpenAI)", "https://github.com/openai/CLIP/blob/main/LICENSE")
_OMG_SEG = _mit("", "https://github.com/lxtGH/OMG-Seg/blob/main/LICENSE")
_RAP_SAM = _mit("", "https://github.com/xushilin1/RAP-SAM/blob/main/LICENSE")

_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_HUB = "https://huggingface.co"
_EDGESAM_SPACE = f"{_HUB}/spaces/chongzhou/EdgeSAM/resolve/main/weights"
_OVSAM_SPACE = f"{_HUB}/spaces/HarborYuan/ovsam/resolve/main/models"
_ISAT_HUB = f"{_HUB}/yatengLG/ISAT_with_segment_anything_checkpoints/resolve/main"
_ISAT_MODELSCOPE = (
    "https://www.modelscope.cn/api/v1/models/yatengLG/ISAT_with_segment_anything_checkpoints/repo"
    "?Revision=master&FilePath=checkpoints"
)
_META = "https://dl.fbaipublicfiles.com/segment_anything"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download"


# EdgeSAM: sizes and hashes from the Git-LFS pointers of the authors' Space (spec/edgesam.md, 1.6);
# mirrors of the two .pth files from the same section and from ISAT's model_zoo.py. Files of these
# names that X-AnyLabeling hosts are other files: they are recognised by their hash and refused.
def _edgesam_checkpoint(number: str, title: str, sha256: str, good_for: str) -> Weight:
    name = f"edge_sam{number}.pth"
    releases = "https://github.com/SegmentationBLWX/modelstore/releases/download/ssseg_edgesam"
    return Weight(
        id=f"edgesam{number.replace('_', '-')}",
        title=title,
        file_name=name,
        urls=tuple(
            f"{base}/{name}" for base in (_EDGESAM_SPACE, _ISAT_HUB, _ISAT_MODELSCOPE, releases)
        ),
        bytes=38_807_540,
        sha256=sha256,
        licence=_EDGESAM,
        origin="Hugging Face Space chongzhou/EdgeSAM",
        good_for=good_for,
    )


def _edgesam_onnx(number: str, title: str, part: str, count: int, sha256: str) -> Weight:
    name = f"edge_sam{number}_{part}.onnx"
    role = "turns an image into an embedding" if part == "encoder" else "turns clicks into masks"
    return Weight(
        id=f"edgesam{number.replace('_', '-')}-{part}-onnx",
        title=f"{title} {part} (ONNX)",
        file_name=name,
        urls=(f"{_EDGESAM_SPACE}/{name}",),
        bytes=count,
        sha256=sha256,
        licence=_EDGESAM,
        origin="Hugging Face Space chongzhou/EdgeSAM",
        good_for=f"The official export without torch: {role}; needs its other half.",
    )


_EDGESAM_FILES = (
    _edgesam_checkpoint(
        "_3x",
        "EdgeSAM 3x",
        "5a3e3261da9e2f4c8154410885689ae57d09cbf4cf5d0c848b9d80b6df336ece",
        "Exact masks from one click on any laptop; trained three times longer, the best choice.",
    ),
    _edgesam_checkpoint(
        "",
        "EdgeSAM",
        "439b086a20ab6fba90c12cba32e0001ba3aa726da5791ff8738acdd440330991",
        "Exact masks from one click on any laptop; the version most papers compare with.",
    ),
    _edgesam_onnx(
        "_3x",
        "EdgeSAM 3x",
        "encoder",
        22_098_300,
        "719a498cf5b3fe9be9f01ee513e13d3915f9028aa4f23dfd30eaaa0a17143159",
    ),
    _edgesam_onnx(
        "_3x",
        "EdgeSAM 3x",
        "decoder",
        15_937_006,
        "83a2174d54571596913dcb7455d021e713623c3dca30a31c8c41ab98c9fb0863",
    ),
    _edgesam_onnx(
        "",
        "EdgeSAM",
        "encoder",
        22_098_300,
        "c051e69a2a16ca8f5e09583ca18420ef0e75a67387dd90228ac9438f7f01357a",
    ),
    _edgesam_onnx(
        "",
        "EdgeSAM",
        "decoder",
        15_937_006,
        "e820af76837271db87478851603c6ce855906ca96baae2238217c2d5a38e0926",
    ),
)


# MobileSAM: 40,728,226 bytes and this hash are stated independently by several public projects
# (micro-sam's util.py, Seg-Studio's list of weights); the address is
# pinned to a commit.
_MOBILE_SAM_FILE = Weight(
    id="mobilesam",
    title="MobileSAM",
    file_name="mobile_sam.pt",
    urls=(
        "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/"
        "f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
        f"{_HUB}/yateng/isat_checkpoints/resolve/main/mobile_sam.pt",
        f"{_ISAT_MODELSCOPE}/mobile_sam.pt",
    ),
    bytes=40_728_226,
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    licence=_MOBILE_SAM,
    origin="GitHub ChaoningZhang/MobileSAM",
    good_for="Small and quick, and free for commercial work; slower than EdgeSAM.",
)


# SAM: Meta puts the first digits of the hash of its own choice into the names; sizes and SHA-256
# are stated independently by several public projects (micro-sam's util.py, a download registry
# with "size" and "hash" of all three, SlicerSegmentWithSAM).
def _sam(kind: str, title: str, name: str, count: int, sha256: str, good_for: str) -> Weight:
    return Weight(
        id=f"sam-vit-{kind}",
        title=title,
        file_name=name,
        urls=(f"{_META}/{name}", f"{_ISAT_MODELSCOPE}/{name}"),
        bytes=count,
        sha256=sha256,
        licence=_SAM,
        origin="Meta, facebookresearch/segment-anything",
        good_for=good_for,
    )


_SAM_FILES = (
    _sam(
        "b",
        "SAM ViT-B",
        "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        "The smallest original SAM; some seconds an image without a graphics card.",
    ),
    _sam(
        "l",
        "SAM ViT-L",
        "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        "Nearly as exact as ViT-H at half its size; a graphics card is advised.",
    ),
    _sam(
        "h",
        "SAM ViT-H",
        "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        "The most exact masks of this family; slow without a graphics card.",
    ),
)


# EfficientSAM-Ti: 40,982,470 bytes and this hash are stated by OpenCV's model zoo and by projects
# that pin the same commit. EfficientSAM-S is published as a zip in the same folder; no public text
# states its size or hash, so it can only be downloaded with explicit consent.
_EFFICIENT_SAM_RAW = (
    "https://raw.githubusercontent.com/yformer/EfficientSAM/"
    "d525f622e6f640acf5a0fc37c7ca1f243da5bde0/weights"
)
_EFFICIENT_SAM_FILES = (
    Weight(
        id="efficientsam-ti",
        title="EfficientSAM-Ti",
        file_name="efficient_sam_vitt.pt",
        urls=(
            f"{_EFFICIENT_SAM_RAW}/efficient_sam_vitt.pt",
            f"{_HUB}/merve/EfficientSAM/resolve/main/efficient_sam_vitt.pt",
        ),
        bytes=40_982_470,
        sha256="dff858b19600a46461cbb7de98f796b23a7a888d9f5e34c0b033f7d6eb9e4e6a",
        licence=_EFFICIENT_SAM,
        origin="GitHub yformer/EfficientSAM",
        good_for="Good masks from a small plain transformer, free for commercial work.",
    ),
    Weight(
        id="efficientsam-s",
        title="EfficientSAM-S",
        file_name="efficient_sam_vits.pt.zip",
        urls=(f"{_EFFICIENT_SAM_RAW}/efficient_sam_vits.pt.zip",),
        bytes=0,
        sha256="",
        licence=_EFFICIENT_SAM,
        origin="GitHub yformer/EfficientSAM",
        good_for="More exact than EfficientSAM-Ti, and about twice as slow.",
    ),
)


# FastSAM-s: 23,851,578 bytes and this hash are stated by several projects for the assets v8.3.0 and
# v8.4.0 alike, and for the authors' release v0.0.2. FastSAM-x: one project states 144,943,063 bytes
# for the authors' FastSAM.pt, none for this asset, so nothing is claimed here.
_FAST_SAM_FILES = (
    Weight(
        id="fastsam-s",
        title="FastSAM-s",
        file_name="FastSAM-s.pt",
        urls=(f"{_ULTRALYTICS}/v8.3.0/FastSAM-s.pt", f"{_ULTRALYTICS}/v8.4.0/FastSAM-s.pt"),
        bytes=23_851_578,
        sha256="c9f78716a81c7aff0d608ccc73e1b82ab3aaad86005049f6a92106a0be6d0844",
        licence=_FAST_SAM,
        origin="GitHub ultralytics/assets, of CASIA-LMC-Lab/FastSAM",
        good_for="All objects of an image at once; a click picks one. Coarser edges than SAM.",
    ),
    Weight(
        id="fastsam-x",
        title="FastSAM-x",
        file_name="FastSAM-x.pt",
        urls=(f"{_ULTRALYTICS}/v8.3.0/FastSAM-x.pt",),
        bytes=0,
        sha256="",
        licence=_FAST_SAM,
        origin="GitHub ultralytics/assets, of CASIA-LMC-Lab/FastSAM",
        good_for="As FastSAM-s, larger and more exact.",
    ),
)


# Open-Vocabulary SAM: the four files of the authors' Space, sizes and hashes from its Git-LFS
# pointers (spec/ovsam_omgseg.md, A.2).
def _ovsam(role: str, title: str, name: str, count: int, sha256: str, good_for: str) -> Weight:
    return Weight(
        id=f"ovsam-{role}",
        title=title,
        file_name=name,
        urls=(f"{_OVSAM_SPACE}/{name}",),
        bytes=count,
        sha256=sha256,
        licence=_OVSAM,
        origin="Hugging Face Space HarborYuan/ovsam",
        good_for=good_for,
    )


_OVSAM_FILES = (
    _ovsam(
        "neck",
        "Open-Vocabulary SAM: neck",
        "sam2clip_vith_rn50.pth",
        536_408_050,
        "f2b14b8e480626cffc815a7262297731ee1372c87d054836daad5148f636cfeb",
        "Turns CLIP features into a SAM embedding: one encoder for masks and names.",
    ),
    _ovsam(
        "decoder",
        "Open-Vocabulary SAM: decoder",
        "ovsam_R50x16_lvisnorare.pth",
        16_195_476,
        "7120eb3987b09bd7f90e0447d049af171bb1404aada1df1375b186f14447dbd6",
        "Masks from clicks and boxes, and the vector an object's name is found with.",
    ),
    _ovsam(
        "fpn",
        "Open-Vocabulary SAM: feature pyramid",
        "R50x16_fpn_lvis_norare_v3det.pth",
        16_157_980,
        "052f6aa7f41c7aa1e3bbf3b9f6527dd25004e1341bd3f7e1586198c9ea699f20",
        "What the name of an object is read from; knows LVIS and V3Det.",
    ),
    _ovsam(
        "lvis",
        "Open-Vocabulary SAM: LVIS names",
        "RN50x16_LVISV1Dataset.pth",
        7_392_482,
        "2c01a464e8c7ebb47c6c8c07199a0d3774ebb8959880da50a6de1dc992dadb59",
        "Ready-made vectors of the 1,203 names of LVIS.",
    ),
)


# The two heads of the repository's own evaluation and their neck. Only their names are known (from
# its configurations), no text states a size or hash, so they need explicit consent.
_OVSAM_HUB = f"{_HUB}/HarborYuan/ovsam_models/resolve/main"


def _ovsam_evaluated(role: str, title: str, name: str, good_for: str) -> Weight:
    return Weight(
        id=f"ovsam-{role}",
        title=f"Open-Vocabulary SAM: {title}",
        file_name=name,
        urls=(f"{_OVSAM_HUB}/{name}",),
        bytes=0,
        sha256="",
        licence=_OVSAM,
        origin="Hugging Face HarborYuan/ovsam_models",
        good_for=good_for,
    )


_OVSAM_EVALUATED = (
    _ovsam_evaluated(
        "evaluated-neck",
        "neck, as evaluated",
        "sam2clip_vith_rn50x16.pth",
        "The neck that belongs to the two heads of the authors' evaluation.",
    ),
    _ovsam_evaluated(
        "evaluated-lvis",
        "head for LVIS",
        "clip2sam_lvis_rn50x16.pth",
        "Masks and vectors, trained on the common classes of LVIS.",
    ),
    _ovsam_evaluated(
        "evaluated-coco",
        "head for COCO",
        "clip2sam_coco_rn50x16.pth",
        "Masks and vectors, trained on 48 classes of COCO.",
    ),
)


# OpenAI's CLIP: the addresses hold the hashes, as open_clip and OpenAI's own program state them.
# Sizes are not stated anywhere, so none are claimed.
def _clip(name: str, sha256: str, good_for: str) -> Weight:
    return Weight(
        id=f"clip-{name.lower()}",
        title=f"CLIP {name}",
        file_name=f"{name}.pt",
        urls=(f"{_OPENAI}/{sha256}/{name}.pt",),
        bytes=0,
        sha256=sha256,
        licence=_CLIP,
        origin="GitHub openai/CLIP",
        good_for=good_for,
    )


_CLIP_FILES = (
    _clip(
        "ViT-B-32",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "Names for objects; the fastest of its kind on a processor.",
    ),
    _clip(
        "RN50",
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "Names for objects from the smallest convolutional network of its kind.",
    ),
    _clip(
        "ViT-B-16",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "Better names than ViT-B-32, for three to four times the time.",
    ),
    _clip(
        "RN50x16",
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "The backbone and the text tower of Open-Vocabulary SAM; slow on a processor.",
    ),
)


# OMG-Seg: the head alone, and its backbone from LAION (spec/ovsam_omgseg.md, B.3). The repository's
# LICENSE is MIT since 30 May 2025; its README and older copies still say S-Lab (non-commercial).
# RAP-SAM is on OneDrive only, behind a page that no program can download from. No text states sizes
# or hashes of the three, so they need explicit consent.
_LAION = "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup"
_OMG_SEG_FILES = (
    Weight(
        id="omgseg",
        title="OMG-Seg: head",
        file_name="omg_seg_convl.pth",
        urls=(
            f"{_HUB}/LXT/OMG_Seg/resolve/main/omg_seg_convl.pth",
            f"{_HUB}/zhangtao-whu/OMG-LLaVA/resolve/main/omg_seg_convl.pth",
        ),
        bytes=0,
        sha256="",
        licence=_OMG_SEG,
        origin="Hugging Face LXT/OMG_Seg (about 84 MB)",
        good_for="Labels everything in images and video with any names; tens of seconds an image "
        "without a graphics card.",
    ),
    Weight(
        id="clip-convnext-large-d-320",
        title="CLIP ConvNeXt-L",
        file_name="convnext_large_d_320.bin",
        urls=(f"{_HUB}/{_LAION}/resolve/main/open_clip_pytorch_model.bin",),
        bytes=0,
        sha256="",
        licence=_mit("", f"{_HUB}/{_LAION}"),
        origin=f"Hugging Face {_LAION} (about 1.4 GB)",
        good_for="The backbone and the names of OMG-Seg, and the names of RAP-SAM.",
    ),
    Weight(
        id="rapsam-r50",
        title="RAP-SAM ResNet-50",
        file_name="rapsam_r50_12e.pth",
        urls=(),
        bytes=0,
        sha256="",
        licence=_RAP_SAM,
        origin="OneDrive, by the link in the README of GitHub xushilin1/RAP-SAM",
        good_for="Labels the things and stuff of COCO in images and video, fast; weak on others.",
    ),
)


WEIGHTS: Mapping[str, Weight] = MappingProxyType(
    {
        weight.id: weight
        for weight in (
            *_EDGESAM_FILES,
            _MOBILE_SAM_FILE,
            *_SAM_FILES,
            *_EFFICIENT_SAM_FILES,
            *_FAST_SAM_FILES,
            *_OVSAM_FILES,
            *_OVSAM_EVALUATED,
            *_CLIP_FILES,
            *_OMG_SEG_FILES,
        )
    }
)
"""Every known file by id, in the order people read them."""


# OVSAM is published without its backbone and its prompt encoder. The latter is SAM ViT-H's, which
# EdgeSAM kept unchanged; see `models.ovsam.files` for other files that have it.
_OVSAM_OTHERS = ("clip-rn50x16", "edgesam-3x")

NEEDS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "edgesam-3x": (("edgesam-3x",), ("edgesam-3x-encoder-onnx", "edgesam-3x-decoder-onnx")),
        "edgesam": (("edgesam",), ("edgesam-encoder-onnx", "edgesam-decoder-onnx")),
        "mobilesam": (("mobilesam",),),
        "sam-vit-b": (("sam-vit-b",),),
        "sam-vit-l": (("sam-vit-l",),),
        "sam-vit-h": (("sam-vit-h",),),
        "efficientsam-ti": (("efficientsam-ti",),),
        "efficientsam-s": (("efficientsam-s",),),
        "fastsam-s": (("fastsam-s",),),
        "fastsam-x": (("fastsam-x",),),
        "ovsam": (("ovsam-neck", "ovsam-decoder", "ovsam-fpn", "ovsam-lvis", *_OVSAM_OTHERS),),
        "ovsam-eval-lvis": (("ovsam-evaluated-neck", "ovsam-evaluated-lvis", *_OVSAM_OTHERS),),
        "ovsam-eval-coco": (("ovsam-evaluated-neck", "ovsam-evaluated-coco", *_OVSAM_OTHERS),),
        "omgseg": (("omgseg", "clip-convnext-large-d-320"),),
        "rapsam-r50": (("rapsam-r50", "clip-convnext-large-d-320"),),
    }
)
"""What each model needs, by its `SegmenterSpec.id`: any one of the groups, all files of it."""


def find_weight(name: str) -> Weight:
    """The file with this id or file name.

    Raises:
        ModelError: no such file.
    """
    for weight in WEIGHTS.values():
        if name in (weight.id, weight.file_name):
            return weight
    raise ModelError(f"There is no weight file “{name}”. Known files: {', '.join(WEIGHTS)}.")


def needs(model_id: str) -> tuple[tuple[Weight, ...], ...]:
    """What a model needs: any one of the groups, all files of it; () when it needs nothing."""
    return tuple(tuple(WEIGHTS[name] for name in group) for group in NEEDS.get(model_id, ()))
