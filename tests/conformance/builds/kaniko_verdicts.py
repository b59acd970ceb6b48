"""The verdicts on kaniko's cases and on those that its fork adds."""

from __future__ import annotations

from tests.support.build_verdicts import Listed, Verdicts
from tests.support.stand_ins import StandIn

_ONBUILD = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "dir=/tmp/dir/"],
    "OnBuild": [
        'RUN echo "onbuild" > /tmp/onbuild',
        "RUN  mkdir $dir",
        'RUN echo "onbuild 2" > ${dir}/onbuild2',
        "WORKDIR /new/workdir",
    ],
}

BASES = (
    StandIn("busybox", ("busybox:latest", "busybox:1.31", "busybox:1.37.0")),
    StandIn(
        "distribution",
        (
            *("alpine:latest", "alpine:3.8", "alpine:3.9", "alpine:3.11", "alpine:3.20"),
            *("google/cloud-sdk:256.0.0-alpine", "gcr.io/distroless/base:latest"),
        ),
    ),
    StandIn(
        "debian",
        (
            *("debian:latest", "debian:9.11", "debian:10.2", "debian:10.13", "debian:12"),
            *("debian:12.10", "debian:bullseye-20220328", "debian:bullseye-slim"),
            *("ubuntu:latest", "ubuntu:18.04", "ubuntu:24.04", "ubuntu:focal"),
            *("fedora:latest", "rabbitmq:latest", "phusion/baseimage:0.11"),
        ),
    ),
    StandIn("debian", ("gcr.io/kaniko-test/onbuild-base:latest", "onbuild-base:latest"), _ONBUILD),
    StandIn("busybox", ("onbuild-copy:latest",), {"OnBuild": ["COPY --from=base /blubb /blubb"]}),
)

_DATE = Listed("the command writes the time", (r"^/date: digest",))
_LOGS = Listed(
    "apt and dpkg log the time; ldconfig keeps inode numbers",
    (r"^/var/(log/(apt/\w+|dpkg|alternatives)\.log|cache/ldconfig/aux-cache): (digest|size)",),
)
_JSON = Listed(
    "the engine drops what stands behind a JSON array; for later BuildKits and here that is no"
    " JSON, and so the shell's form",
    (r"^config\.Entrypoint: ", r"^history\[2\]\.created_by: "),
)
_CHMOD = (
    "the engine leaves the directories that COPY makes at 0755; later BuildKits give them the mode"
    " of --chmod, and the fork's cases want it so"
)
_VOLUMES = Listed(
    "BuildKit makes no directory for a VOLUME, nor do we; the classic builder does",
    (r"^build: fails in both: .*/foo1/hello",),
)
_TRAILING = Listed(
    "the engine keeps a slash at the end of WORKDIR, later BuildKits do not",
    (r"^history\[9\]\.created_by: 'WORKDIR /another/new/dir/'",),
)
_ARG_NAME = Listed(
    "the engine expands variables in the name of an ARG; later BuildKits do not",
    (r"^/baz/", r"^history\[\d+\]\.created_by: "),
)


def _mount_points(pattern: str) -> Listed:
    return Listed(
        "the engine leaves what it made to mount on in the image; here it is removed, as in later"
        " BuildKits",
        (pattern,),
    )


_EXTRACTION = "the image extraction-base-image, which is not in the test data"
_HARDLINK = "the image hardlink-base, which is not in the test data"
_APK = "Alpine's package manager and packages"
_YUM = "Red Hat's package manager and packages"
_HOSTILE = "a registry with the hostile image, which is not in the test data"
_EXECUTOR = "kaniko's own executor image"

VERDICTS = Verdicts(
    listed={
        "kaniko-cache": _DATE,
        "kaniko-cache_install": _LOGS,
        "kaniko-cache_install_oci": _LOGS,
        "kaniko-cache_oci": _DATE,
        "kaniko-cmd": _JSON,
        "kaniko-copyadd_chmod": Listed(_CHMOD, (r"^/dir777: mode 493 != 511",)),
        "kaniko-issue_2049": _LOGS,
        "kaniko-issue_2066": _LOGS,
        "kaniko-issue_684": _LOGS,
        "kaniko-multistage": _DATE,
        "kaniko-scratch": _ARG_NAME,
        "kaniko-volume_2": _VOLUMES,
        "kaniko-workdir": _TRAILING,
        "fork-cache": _DATE,
        "fork-cache_install": _LOGS,
        "fork-cache_install_oci": _LOGS,
        "fork-cache_oci": _DATE,
        "fork-cmd": _JSON,
        "fork-healthcheck": Listed(
            "the engine prints a health check in another form than later BuildKits",
            (r"^history\[0\]\.created_by: 'HEALTHCHECK &\{",),
        ),
        "fork-issue_2066": _LOGS,
        "fork-issue_3166": Listed(_CHMOD, (r"^/some(/nested(/context)?)?: mode 493 != 256",)),
        "fork-issue_3393": _LOGS,
        "fork-issue_969": _mount_points(r"^/tmp/bli(/bla)?: missing"),
        "fork-issue_cg188": _mount_points(r"^/run(/secrets)?: missing"),
        "fork-issue_cg73": _LOGS,
        "fork-issue_mz332": Listed(
            "the engine does not find a stage that an ONBUILD of the base names; later BuildKits"
            " do",
            (r"^build: fails in the engine only: .*/blubb",),
        ),
        "fork-issue_mz334": Listed(
            "in the engine the stages share their labels, so that one changes another's",
            (r"^config\.Labels: \{'from': 'second'\} != \{'from': 'first'\}",),
        ),
        "fork-issue_mz455": _mount_points(r"^/var/lib(/apt(/list)?)?: missing"),
        "fork-issue_mz661": _mount_points(r"^/run(/secrets)?: missing"),
        "fork-issue_mz798": Listed(
            "the engine takes a symbolic --chmod for none", (r"^/sym\w+(/.*)?: mode",)
        ),
        "fork-issue_mz822": Listed(
            "for several sources a destination must be a directory here; BuildKit leaves the last",
            (r"^build: fails in both: .*/out: several sources",),
        ),
        "fork-issue_mz863": Listed(_CHMOD, (r"^build: fails in the engine only: .*/dest",)),
        "fork-issue_mz879": _mount_points(r"^/mnt: missing"),
        "fork-multistage": _DATE,
        "fork-pre_defined_build_args": Listed(
            "the engine knows no TARGETSTAGE, later BuildKits do",
            (r"^/info2\.txt: (size|digest)", r"^history\[1[12]\]\.created_by: .*TARGETSTAGE= "),
        ),
        "fork-volume_2": _VOLUMES,
        "fork-workdir": _TRAILING,
    },
    missing={
        "kaniko-extraction": _EXTRACTION,
        "kaniko-hardlink": _HARDLINK,
        "kaniko-hardlink_base": _APK,
        "kaniko-issue_1039": _YUM,
        "kaniko-issue_1837": _YUM,
        "kaniko-replaced_hardlinks": "the image jboss/base-jdk with its replaced hardlinks",
        "kaniko-context-1020": "the image atomist/sdm-base with npm",
        "fork-context-1020": "the image atomist/sdm-base with npm",
        "fork-extraction": _EXTRACTION,
        "fork-hardlink": _HARDLINK,
        "fork-issue_1007": _APK,
        "fork-issue_1039": _YUM,
        "fork-issue_1837": _YUM,
        "fork-issue_cg326_1": _HOSTILE,
        "fork-issue_cg326_2": _HOSTILE,
        "fork-issue_cg326_3": _HOSTILE,
        "fork-issue_mz1007": "the value of the build argument BASE, which is not in the test data",
        "fork-issue_mz444": _EXECUTOR,
        "fork-issue_mz473": _EXECUTOR,
        "fork-issue_mz560": "the image hijack, which is not in the test data",
        "fork-issue_mz725": "the image malformed-oci, which is not in the test data",
        "fork-issue_mz753": "the image nvidia-operator-base, which is not in the test data",
    },
)
