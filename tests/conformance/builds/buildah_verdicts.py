"""The verdicts on buildah's cases."""

from __future__ import annotations

from tests.support.build_verdicts import Listed, Verdicts
from tests.support.stand_ins import StandIn

BASES = (
    StandIn("busybox", ("mirror.gcr.io/busybox:latest", "quay.io/libpod/busybox:latest")),
    StandIn("distribution", ("mirror.gcr.io/alpine:latest",)),
    StandIn("debian", ("quay.io/libpod/centos:7",), {"Shell": ["/bin/bash", "-c"]}),
)

_XATTRS = (
    "the engine writes no extended attributes of users into layers; here a file keeps them, as the"
    " case wants"
)
_SKIPPED = (
    "the engine does not look into a directory that is ignored unless an exception begins with its"
    " name; here an exception with a wildcard counts too, as in the file walk of later BuildKits"
)
_REPLACED = (
    "BuildKit refuses to replace a directory by a link or the other way round, and so do we; the"
    " classic builder, which the case is of, does it"
)
_EMPTY_PARENTS = (
    "the engine sends the directories above an exception even when nothing of them is left; later"
    " BuildKits do not, and the case wants it so"
)
_MOUNT_POINTS = (
    "the engine leaves what it made to mount on in the image; here it is removed, as in later"
    " BuildKits"
)
_TRAILING = "the engine keeps a slash at the end of WORKDIR, later BuildKits do not"

VERDICTS = Verdicts(
    listed={
        "bc-002": Listed(
            "the engine takes an escaped wildcard for a wildcard; the case wants one file",
            (r"^/app[45]/file\.txt: ", r"^history\[[45]\]\.created_by: "),
        ),
        "bc-038": Listed(_TRAILING, (r"^config\.WorkingDir: ", r"^history\[1\]\.created_by: ")),
        "bc-045": Listed(_XATTRS, (r"^/subdir[12]/xattrs-file: xattrs",)),
        "bc-048": Listed(_XATTRS, (r"^/xattr-file: xattrs",)),
        "bc-050": Listed(_XATTRS, (r"^/xattrs-file: xattrs",)),
        "bc-053": Listed(
            "a wildcard that matches nothing is no error for BuildKit nor for us; it is for the"
            " classic builder, which the case is of",
            (r"^build: fails in neither",),
        ),
        "bc-056": Listed(_SKIPPED, (r"^build: fails in the engine only",)),
        "bc-106": Listed(_SKIPPED, (r"^/subdir/subdir-e(/subdir-f(/.*)?)?: not expected",)),
        "bc-107": Listed(_SKIPPED, (r"^/subdir/subdir-f(/.*)?: not expected",)),
        "bc-108": Listed(_SKIPPED, (r"^/subdir/subdir-e/subdir-f(/.*)?: not expected",)),
        "bc-109": Listed(_SKIPPED, (r"^/subdir/subdir-f(/.*)?: not expected",)),
        "bc-142": Listed(_EMPTY_PARENTS, (r"^build: fails here only: .*folder1: left out of",)),
        "bc-143": Listed(_EMPTY_PARENTS, (r"^build: fails here only: .*folder1: left out of",)),
        "bc-149": Listed(_EMPTY_PARENTS, (r"^/folder: missing",)),
        "bc-150": Listed(_EMPTY_PARENTS, (r"^/folder: missing",)),
        "bc-155": Listed(_SKIPPED, (r"^/volume(/.*)?: not expected",)),
        "bc-156": Listed(_SKIPPED, (r"^/newdir/subdir(/.*)?: not expected",)),
        **{
            f"bc-{number}": Listed(_REPLACED, (r"^build: fails in both: .*maybe-directory",))
            for number in range(160, 164)
        },
        "bc-167": Listed(_MOUNT_POINTS, (r"^/base: missing",)),
        "bc-169": Listed(_TRAILING, (r"^config\.WorkingDir: ", r"^history\[2\]\.created_by: ")),
        "bc-178": Listed(_MOUNT_POINTS, (r"^/cache: missing",)),
        "bc-179": Listed(_MOUNT_POINTS, (r"^/(dev|etc|proc|sys): missing",)),
        "bc-180": Listed(
            "the classic builder gives an image from scratch no working directory, BuildKit and we"
            " give it /",
            (r"^config\.WorkingDir: None != '/'",),
        ),
        "bc-181": Listed(
            _MOUNT_POINTS, (r"^/(dev|etc|proc|sys|subdirectory(/\w+)?|tmp): missing",)
        ),
    },
    missing={
        "bc-036": "`buildah build --volume`, which docker's build has not",
        "bc-037": "`buildah build --volume`, which docker's build has not",
        "bc-173": "images of two architectures with glibc, and one with `readelf`",
    },
)
