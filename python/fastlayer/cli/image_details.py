"""An image as ``docker image inspect`` shows it."""

from __future__ import annotations

from fastlayer.cli.go_value import NilList, NilMap, Record
from fastlayer.image import Image, ImageCatalog
from fastlayer.oci.config import RuntimeConfig

_ABSENT_CONFIG: dict[str, object] = {
    "ExposedPorts": NilMap(),
    "Healthcheck": None,
    "ArgsEscaped": False,
    "StopSignal": "",
    "Shell": NilList(),
}


def image_details(catalog: ImageCatalog, image: Image) -> Record:
    """The fields in docker's order; those that docker leaves out are absent but have a value."""
    config = image.config
    comment = config.history[-1].comment if config.history else ""
    fields: dict[str, object] = {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": list(image.digests),
        "Comment": config.extra.get("comment") or comment,
        "Created": config.created,
        "Author": config.author,
        "Config": config_details(config.config),
        "Architecture": config.architecture,
    }
    if config.variant:
        fields["Variant"] = config.variant
    fields["Os"] = config.os
    if config.os_version:
        fields["OsVersion"] = config.os_version
    fields["Size"] = catalog.size(image)
    fields["RootFS"] = Record({"Type": "layers", "Layers": list(image.chain)})
    if image.manifest is not None:
        manifest = image.manifest
        fields["Descriptor"] = Record(
            {
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": len(manifest.to_json()),
            }
        )
    return Record(fields, {"Variant": "", "OsVersion": "", "Descriptor": None})


def config_details(config: RuntimeConfig) -> Record:
    """The ``Config`` section of an image or container."""
    fields: dict[str, object] = {"User": config.user}
    if config.exposed_ports:
        fields["ExposedPorts"] = {port: {} for port in config.exposed_ports}
    fields["Env"] = list(config.env) or NilList()
    fields["Cmd"] = _words(config.cmd)
    if config.healthcheck is not None:
        fields["Healthcheck"] = config.healthcheck.to_value()
    if config.args_escaped:
        fields["ArgsEscaped"] = True
    fields["Volumes"] = {path: {} for path in config.volumes} or NilMap()
    fields["WorkingDir"] = config.working_dir
    fields["Entrypoint"] = _words(config.entrypoint)
    fields["OnBuild"] = list(config.on_build) or NilList()
    fields["Labels"] = dict(config.labels) or NilMap()
    if config.stop_signal:
        fields["StopSignal"] = config.stop_signal
    if config.shell is not None:
        fields["Shell"] = list(config.shell)
    return Record(fields, _ABSENT_CONFIG)


def _words(words: tuple[str, ...] | None) -> list[object]:
    return NilList() if words is None else list(words)
