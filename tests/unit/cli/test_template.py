"""Go templates: what docker's users write behind --format."""

from __future__ import annotations

import pytest
from fastlayer.cli.go_value import NilList, NilMap, Record
from fastlayer.cli.template import Template
from fastlayer.errors import UsageError

IMAGE = Record(
    {
        "Id": "sha256:1",
        "Config": Record(
            {
                "Cmd": ["nginx", "-g", "daemon off;"],
                "Entrypoint": NilList(),
                "Labels": {"a.b": "c"},
                "Volumes": NilMap(),
            },
            {"StopSignal": ""},
        ),
        "Size": 3,
        "Name": "é<b>",
    }
)

RENDERED = [
    ("", ""),
    ("text", "text"),
    ("{{.Id}}", "sha256:1"),
    ("{{ .Config.Cmd }}", "[nginx -g daemon off;]"),
    ("{{json .Config.Cmd}}", '["nginx","-g","daemon off;"]'),
    ("{{.Config.Cmd | json}}", '["nginx","-g","daemon off;"]'),
    ("{{json .Config.Entrypoint}}{{json .Config.Volumes}}", "nullnull"),
    ("{{.Config.Entrypoint}}{{.Config.Volumes}}", "[]map[]"),
    ("{{json .Name}}", '"é<b>"'),
    ("{{.Config.Labels}}", "map[a.b:c]"),
    ('{{index .Config.Labels "a.b"}}', "c"),
    ("{{index .Config.Cmd 2}}", "daemon off;"),
    ("{{len .Config.Cmd}}", "3"),
    ("{{.Nothing}}", "<no value>"),
    ("[{{.Config.StopSignal}}]", "[]"),
    ("{{range .Config.Cmd}}<{{.}}>{{end}}", "<nginx><-g><daemon off;>"),
    ("{{range $i, $v := .Config.Cmd}}{{$i}}{{$v}} {{end}}", "0nginx 1-g 2daemon off; "),
    ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "a.b=c"),
    ("{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none"),
    ("{{range .Config.Cmd}}{{if eq . \"-g\"}}{{break}}{{end}}{{.}}{{end}}", "nginx"),
    ("{{range .Config.Cmd}}{{if eq . \"-g\"}}{{continue}}{{end}}{{.}}{{end}}", "nginxdaemon off;"),
    ("{{if .Size}}yes{{else}}no{{end}}", "yes"),
    ("{{if not .Size}}a{{else if eq .Size 3 4}}b{{else}}c{{end}}", "b"),
    ("{{with .Config}}{{len .Cmd}}{{$.Id}}{{end}}", "3sha256:1"),
    ("{{with .Nothing}}x{{end}}", ""),
    ("{{$x := .Size}}{{$x = 4}}{{$x}}", "4"),
    ("{{if and .Size (or .Nothing .Id)}}both{{end}}", "both"),
    ("{{or .Nothing `raw`}}", "raw"),
    ('{{printf "%s %d %q" .Id .Size .Id}}', 'sha256:1 3 "sha256:1"'),
    ('{{printf "%5s|%-5s|" "a" "b"}}', "    a|b    |"),
    ("{{join .Config.Cmd \"+\"}}", "nginx+-g+daemon off;"),
    ('{{index (split .Id ":") 1}}', "1"),
    ('{{upper .Id}}{{lower "A"}}{{title "ab"}}', "SHA256:1aAb"),
    ('{{truncate .Id 3}}{{pad "x" 1 2}}|', "sha x  |"),
    ("a {{- .Size -}} b", "a3b"),
    ("{{/* nothing */}}x", "x"),
    ("{{slice .Id 0 3}}", "sha"),
    ("{{print .Size 4 \"x\" 5}}", "3 4x5"),
    ("{{println .Size}}", "3\n"),
    ("{{if lt .Size 4}}{{if ge .Size 3}}in{{end}}{{end}}", "in"),
    ("{{true}}{{false}}", "truefalse"),
    ("{{.}}", "map["),
]  # fmt: skip

REFUSED = [
    ("{{.Id", "unclosed action"),
    ("{{if .Id}}x", "if without end"),
    ("{{end}}", "unexpected"),
    ("{{nothing .Id}}", 'function "nothing" not defined'),
    ("{{index .Config.Cmd 9}}", "out of range"),
    ("{{.Id.More}}", "has no field More"),
    ("{{len .Size}}", "no length"),
    ("{{$nothing}}", "undefined variable"),
    ('{{template "x"}}', "not supported"),
    ("{{}}", "no value"),
    ("{{.Id | 5}}", "cannot take"),
    ("{{range .Size2}}{{.}}", "range without end"),
    ("{{printf}}", "printf"),
    ("{{(.Id}}", "ends too soon"),
]


@pytest.mark.parametrize(("text", "expected"), RENDERED)
def test_templates(text: str, expected: str) -> None:
    rendered = Template(text).render(IMAGE)
    assert rendered.startswith(expected) if text == "{{.}}" else rendered == expected


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_what_is_no_template(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"template: .*{says}|{says}"):
        Template(text).render(IMAGE)


def test_a_strict_record_names_its_fields() -> None:
    with pytest.raises(UsageError, match="no field Nope") as caught:
        Template("{{.Nope}}").render(Record({"ID": 1, "Size": 2}, strict=True))
    assert caught.value.hint == "fields: ID, Size"
