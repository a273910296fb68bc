"""Every kind of file to texts, and every kind of damage to an error or a count."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest
import zstandard

from kataribe.base.errors import (
    FormatError,
    InputError,
    NotFoundError,
    StorageError,
    UnsupportedError,
)
from kataribe.make.text.manual import is_manual, manual_text
from kataribe.make.text.pages import html_text, markdown_text, rst_text
from kataribe.make.text.raw import Reading
from kataribe.make.text.readers import BLOCK, cut, read_file
from kataribe.make.text.sources import open_source

TEXT = "A cat sat on the mat.\n彼は猫を飼っている。\n"


def read(path, **choices):
    reading = Reading("test", **choices)
    return list(read_file(path, path.name, reading)), reading.tally


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("txt", bytes),
        ("txt.gz", gzip.compress),
        ("txt.bz2", bz2.compress),
        ("txt.xz", lzma.compress),
        ("txt.zst", zstandard.compress),
    ],
)
def test_plain_text_packed_or_not(tmp_path, ending, pack):
    texts, tally = read(write(tmp_path / f"a.{ending}", pack(TEXT.encode())))
    assert [(t.id, t.text, t.code) for t in texts] == [(f"a.{ending}", TEXT, False)]
    assert tally.encodings == {"utf-8": 1}


def test_zstandard_of_several_frames_is_read_to_its_end(tmp_path):
    data = zstandard.compress(b"first line\n") + zstandard.compress(b"second line\n")
    texts, _ = read(write(tmp_path / "a.txt.zst", data))
    assert texts[0].text == "first line\nsecond line\n"


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.zst", "a.txt.xz", "a.txt.bz2", "a.tar.gz"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name):
    with pytest.raises(FormatError, match=name):
        read(write(tmp_path / name, b"this is not packed at all, whatever its name says"))


def test_a_truncated_file_is_an_error(tmp_path):
    data = gzip.compress(os.urandom(5000).hex().encode())
    with pytest.raises(FormatError, match="damaged"):
        read(write(tmp_path / "a.txt.gz", data[:-2000]))


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


MEMBERS = [("doc/a.txt", TEXT.encode()), ("doc/b.py", b"print(1)\n"), ("doc/c.png", b"\x89PNG")]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tgz", "a.zip"])
def test_archives_are_read_member_by_member(tmp_path, name):
    path = tmp_path / name
    if name.endswith("zip"):
        zip_of(path, MEMBERS)
    else:
        packing = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}
        tar_of(path, MEMBERS, packing.get(name.rpartition(".")[2], "w"))
    texts, tally = read(path)
    assert [(t.id, t.code) for t in texts] == [
        (f"{name}/doc/a.txt", False),
        (f"{name}/doc/b.py", True),
    ]
    assert tally.skipped["not text (.png)"] == (1, [f"{name}/doc/c.png"])


def test_a_tar_within_zstandard(tmp_path):
    plain = tar_of(tmp_path / "plain.tar", MEMBERS)
    texts, _ = read(write(tmp_path / "a.tar.zst", zstandard.compress(plain.read_bytes())))
    assert texts[0].text == TEXT


@pytest.mark.parametrize("name", ["../up.txt", "/etc/passwd.txt", "a/../../b.txt", "..\\up.txt"])
def test_names_that_climb_out_are_refused(tmp_path, name):
    for path in (
        tar_of(tmp_path / "a.tar", [(name, b"x")]),
        zip_of(tmp_path / "a.zip", [(name, b"x")]),
    ):
        with pytest.raises(FormatError, match="leads out of its own folder"):
            read(path)


def test_links_in_archives_are_passed_over(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{kind[0]}.txt")
            info.type = kind
            info.linkname = "/etc/passwd"
            archive.addfile(info)
    assert read(path)[0] == []


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.tar.gz", "bomb.zip", "bomb.jsonl.zst"])
def test_bombs_are_cut_off(tmp_path, name, monkeypatch):
    monkeypatch.setattr("kataribe.make.text.unpacking.FREE_BYTES", 1 << 20)
    data = b"\0" * (8 << 20) if "tar" not in name else b"0" * (8 << 20)
    path = tmp_path / name
    if name == "bomb.zip":
        zip_of(path, [("a.txt", data)])
    elif name == "bomb.tar.gz":
        tar_of(path, [("a.txt", data)], "w:gz")
    else:
        pack = gzip.compress if name.endswith("gz") else zstandard.compress
        write(path, pack(data))
    with pytest.raises(FormatError, match="200 times the packed size"):
        read(path)


@pytest.mark.parametrize("name", ["many.tar", "many.zip", "many.tar.gz"])
def test_packed_members_share_the_budget_of_their_archive(tmp_path, name, monkeypatch):
    monkeypatch.setattr("kataribe.make.text.unpacking.FREE_BYTES", 1 << 20)
    monkeypatch.setattr("kataribe.make.text.unpacking.LARGEST_RATIO", 2)
    pack = (lambda p, m: tar_of(p, m, "w:gz" if name.endswith("gz") else "w")) if (
        "tar" in name
    ) else zip_of  # fmt: skip
    inner = gzip.compress(TEXT.encode() * 8000)  # 0.5 MB each, which alone is within the budget
    few = pack(tmp_path / name, [("a.txt.gz", inner)])
    assert read(few)[1].documents == 1
    many = pack(tmp_path / name, [(f"{number}.txt.gz", inner) for number in range(4)])
    with pytest.raises(FormatError, match="2 times the packed size"):
        read(many)


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("ja", "ja"), ("en-GB", "en"), ("ZH_hant", "zh"), ("code", "code"), ("Japanese", None),
        ("english", None), ("xx", None), ("und", None), ("", None), (5, None), (None, None),
    ],
)  # fmt: skip
def test_only_codes_of_languages_are_believed(tmp_path, told, taken):
    line = json.dumps({"text": TEXT, "language": told})
    [raw] = read(write(tmp_path / "a.jsonl", line))[0]
    assert raw.language == taken
    assert raw.code == (told == "code")


def test_an_archive_within_an_archive_is_counted(tmp_path):
    inner = zip_of(tmp_path / "inner.zip", MEMBERS).read_bytes()
    texts, tally = read(zip_of(tmp_path / "outer.zip", [("inner.zip", inner)]))
    assert texts == []
    assert tally.skipped["an archive within an archive"][0] == 1


def test_an_encrypted_zip_is_an_error(tmp_path):
    path = zip_of(tmp_path / "a.zip", [("a.txt", b"secret")])
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    with pytest.raises(FormatError, match=r"a\.zip is damaged.*(encrypted|password)"):
        read(write(path, bytes(data)))


def test_json_lines(tmp_path):
    lines = [
        {"text": "eins", "language": "de"},
        {"text": ""},
        {"other": 1},
        {"text": 3},
        {"text": "zwei"},
    ]
    data = "\n".join(json.dumps(line) for line in lines) + "\nnot json\n[1]\n\n"
    texts, tally = read(write(tmp_path / "a.jsonl", data))
    assert [(t.id, t.text, t.language) for t in texts] == [
        ("a.jsonl:1", "eins", "de"),
        ("a.jsonl:5", "zwei", None),
    ]
    assert tally.skipped['a record without a text in "text"'][0] == 3
    assert tally.skipped["a line that is no JSON object"][1] == ["a.jsonl:6", "a.jsonl:7"]


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst"])
def test_packed_json_lines_with_another_field(tmp_path, ending):
    pack = gzip.compress if ending.endswith("gz") else zstandard.compress
    data = pack(json.dumps({"body": TEXT, "text": "no"}).encode())
    texts, _ = read(write(tmp_path / f"a.{ending}", data), field="body")
    assert texts[0].text == TEXT


def test_a_field_that_is_not_there_names_those_that_are(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"title": "t", "body": "b"}\n')
    with pytest.raises(InputError, match=r"no field 'text'; it has: title, body.*--field"):
        read(path)


def test_a_file_of_lines_without_json_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="not one is a JSON object"):
        read(write(tmp_path / "a.jsonl", TEXT))


def test_json_lines_in_shift_jis_are_read_and_counted(tmp_path):
    data = json.dumps({"text": TEXT}, ensure_ascii=False).encode("cp932")
    texts, tally = read(write(tmp_path / "a.jsonl", data))
    assert texts[0].text == TEXT
    assert tally.encodings == {"cp932": 1}


def parquet(path, columns):
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"text": ["one", None, "two"], "n": [1, 2, 3]})
    texts, tally = read(path)
    assert [(t.id, t.text) for t in texts] == [("a.parquet:1", "one"), ("a.parquet:3", "two")]
    assert tally.skipped['a record without a text in "text"'][0] == 1
    with pytest.raises(InputError, match=r"no field 'body'; it has: text, n"):
        read(path, field="body")
    with pytest.raises(FormatError, match="no Parquet file"):
        read(write(tmp_path / "b.parquet", b"PAR1 but no more"))


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    path = parquet(tmp_path / "a.parquet", {"text": ["one"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'kataribe\[data\]'"):
        read(path)


PAGE = """<!DOCTYPE html><html><head><title>No</title><style>p{}</style></head><body>
<nav>Home | About</nav><main><h1>Title</h1><p>First <b>bold</b>
paragraph.</p><script>var x = 1;</script><ul><li>one</li><li>two</li></ul>
<pre>def f():
    return 1
</pre></main><footer>Imprint</footer></body></html>"""


def test_html_gives_its_main_text():
    assert html_text(PAGE) == (
        "Title\n\nFirst bold paragraph.\n\n- one\n- two\n\ndef f():\n    return 1"
    )


def test_html_that_nests_deeper_than_the_stack():
    assert "deep" in html_text("<div>" * 5000 + "deep" + "</div>" * 5000)


def test_html_without_main_keeps_its_body(tmp_path):
    page = '<meta charset="euc-jp"><p>日本語の頁</p>'.encode("euc_jp")
    texts, tally = read(write(tmp_path / "a.html", page))
    assert texts[0].text == "日本語の頁"
    assert tally.encodings == {"euc_jp": 1}


def test_markdown_loses_its_front_matter_only():
    body = "# Title\n\n---\n\nText\n"
    assert markdown_text(f"---\ntitle: x\n---\n{body}") == body
    assert markdown_text(f"+++\ntitle = 'x'\n+++\n\n{body}") == body
    assert markdown_text(body) == body
    assert markdown_text("---\nno end\n") == "---\nno end\n"


def test_restructured_text_loses_its_comments():
    text = "Title\n=====\n\n.. note:: stays\n\n.. a comment\n   goes on\n\nText\n"
    assert rst_text(text) == "Title\n=====\n\n.. note:: stays\n\nText\n"


MANUAL = r""".\" A comment
.TH LS 1 "2024" "GNU"
.SH NAME
ls \- list directory contents
.SH SYNOPSIS
.B ls
[\fIOPTION\fR]... [\fIFILE\fR]...
.SH DESCRIPTION
.PP
List information about the
.BR FILE s.
.TP
\fB\-a\fR, \fB\-\-all\fR
do not ignore entries starting with \(aq.\(aq
"""


def test_a_long_head_of_comments_is_read_at_once():
    head = '.\\" All rights reserved.\n' * 200  # took longer than anyone waits: 2 ** 200 ways
    assert is_manual(f"{head}.TH TINY 1\n")
    assert not is_manual(f"{head}.Id no page\n")


HEADS = {
    "definitions": r""".de Sp \" Vertical space
.if t .sp .5v
Text of a macro.
..
.    \" Strings.
.ie n \{\
.    ds -- \(*W-
'br\}
.el\{\
.    ds -- \|\(em\|
'br\}
""",
    "a named end": ".ig zZ\nNot a request.\n..\n.zZ\n.\n.nr level 0\n",
    "both": ".de1 In\n\\\\$1\n-\n..\n.\n.de Ex An\nNo text.\n.An\n",
    "comments": '\\" Copyright\n\\# Setup\n.pc ""\n.ds Em \\-\\-\n\'\\" t\n',
    "conditions": ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.if \\n(.g .if rF .nr rF 1\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_page_that_begins_with_macros_of_its_own_is_a_page(name):
    assert is_manual(HEADS[name] + MANUAL)
    assert manual_text(HEADS[name] + MANUAL) == manual_text(MANUAL)
    assert is_manual(HEADS[name] + '.de XX\n.TH\n..\n.    TH "A" 1\n')
    assert not is_manual(HEADS[name] + ".de XX\n.TH A 1\n..\n")  # a title in a macro is none
    assert not is_manual(HEADS[name] + "A line of a log.\n" + MANUAL)


def test_what_perl_writes_into_manual_pages_is_read():
    page = r""".TH TALE 3
.IX Title "TALE 3"
.SH "NAME"
Tale::Teller \- tells \*(L"tales\*(R" with \*(C`tell\*(C' \*(-- in \*(C+
.Vb 2
\&  use Tale::Teller;
\&  tell("one");
.Ve
.Sp
"""
    text = manual_text(page)
    assert 'Tale::Teller - tells “tales” with "tell" — in C++' in text
    assert '  use Tale::Teller;\n  tell("one");\n' in text + "\n"
    assert "IX" not in text
    assert "V" not in text
    assert "Sp" not in text


def test_a_manual_page_becomes_plain_text(tmp_path):
    text = manual_text(MANUAL)
    assert "ls - list directory contents" in text
    assert "ls [OPTION]... [FILE]..." in text
    assert "List information about the FILEs." in text
    assert "-a, --all do not ignore entries starting with '.'" in text
    assert "\\" not in text
    texts, _ = read(write(tmp_path / "ls.1.gz", gzip.compress(MANUAL.encode())))
    assert texts[0].text == text


def test_a_long_text_is_cut_between_paragraphs():
    text = "".join(f"Paragraph {i}\nhas two lines.\n\n" for i in range(1000))
    pieces = list(cut([text[:777], text[777:]], 5000))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 5000
    assert all(piece.endswith("\n\n") for piece in pieces)
    assert list(cut(["x" * 2500], 1000)) == ["x" * 1000, "x" * 1000, "x" * 500]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp932", "euc_jp", "utf-16"])
def test_a_file_longer_than_a_block_is_streamed(tmp_path, encoding):
    line = "吾輩は猫である。名前はまだ無い。\n"
    text = line * (BLOCK // len(line.encode("cp932")) + 1000)
    path = tmp_path / "long.txt"
    path.write_bytes(text.encode(encoding))
    texts, tally = read(path)
    assert "".join(t.text for t in texts) == text
    assert texts[1].id == "long.txt#2"
    assert tally.encodings == {encoding.removesuffix("-sig"): 1}
    assert tally.bytes == path.stat().st_size


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "iso2022_jp"])
def test_the_encoding_of_a_long_file_may_show_late(tmp_path, encoding):
    text = "plain line\n" * (BLOCK // 11 + 10) + "吾輩は猫である。名前はまだ無い。\n" * 100
    path = tmp_path / "late.txt"
    path.write_bytes(text.encode(encoding))
    texts, tally = read(path)
    assert "".join(t.text for t in texts) == text
    assert tally.encodings == {encoding: 1}


def test_a_file_that_may_not_be_read(tmp_path):
    with pytest.raises(StorageError, match="cannot be read"):
        read(tmp_path / "gone.txt")


def test_a_folder_is_read_in_order_without_what_is_hidden(tmp_path):
    for name in ("b.md", "a/z.txt", ".git/config", "__pycache__/x.py", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, TEXT)
    (tmp_path / "out.txt").symlink_to("/etc/hostname")
    source = open_source(str(tmp_path), tmp_path, lambda _: None)
    assert [file.label for file in source.files] == ["a/z.txt", "b.md"]
    assert sorted(source.passed_over) == [
        ("a link that leads out of the folder", "out.txt"),
        ("hidden", ".git"),
        ("hidden", ".hidden"),
        ("hidden", "__pycache__"),
    ]


def test_a_folder_without_text_is_said(tmp_path):
    write(tmp_path / "a.png", b"\x89PNG")
    with pytest.raises(NotFoundError, match="holds no file of text"):
        open_source(str(tmp_path), tmp_path, lambda _: None)


@pytest.mark.parametrize(("name", "near"), [("stdlb", "stdlib"), ("debain:bash", None)])
def test_an_unknown_source_names_those_that_there_are(tmp_path, name, near):
    with pytest.raises(NotFoundError, match=r"debian:PACKAGE") as raised:
        open_source(name, tmp_path, lambda _: None)
    if near:
        assert f"Did you mean {near}?" in raised.value.message


def test_the_standard_library_is_there_without_its_tests(tmp_path):
    labels = [file.label for file in open_source("stdlib", tmp_path, lambda _: None).files]
    assert "stdlib/json/decoder.py" in labels
    assert labels == sorted(labels)
    assert not [label for label in labels if "/test/" in label or "site-packages" in label]


def build_deb(folder):
    """A Debian package with documentation in several forms."""
    root = folder / "root"
    docs = root / "usr/share/doc/tiny"
    docs.mkdir(parents=True)
    (root / "DEBIAN").mkdir()
    write(
        root / "DEBIAN/control",
        "Package: tiny\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: tiny\n",
    )
    write(docs / "index.html", PAGE)
    write(docs / "search.js", "var a=1")
    (docs / "_sources").mkdir()
    write(docs / "_sources/index.rst.txt", TEXT)
    write(docs / "notes.txt.gz", gzip.compress(TEXT.encode()))
    manual = root / "usr/share/man/man1"
    manual.mkdir(parents=True)
    write(manual / "tiny.1.gz", gzip.compress(MANUAL.encode()))
    deb = folder / "tiny_1.0_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(deb)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return deb


@pytest.fixture(scope="module")
def tiny_deb(tmp_path_factory):
    return build_deb(tmp_path_factory.mktemp("deb"))


def test_a_debian_package_is_read_without_unpacking_it(tiny_deb):
    texts, tally = read(tiny_deb)
    found = {t.id.rpartition("/")[2]: t.text for t in texts}
    assert set(found) == {"index.html", "notes.txt.gz", "tiny.1.gz"}
    assert found["notes.txt.gz"] == TEXT
    assert found["index.html"].startswith("Title\n\nFirst bold")
    assert tally.skipped["script or style of a web page"][0] == 1
    assert tally.skipped["the same text as the pages of HTML, in another form"][0] == 1


def test_a_damaged_debian_package_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="no Debian package"):
        read(write(tmp_path / "a.deb", b"!<arch>\nbut nothing more"))


def test_debian_packages_are_fetched_once(tmp_path, tiny_deb, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    apt = write(
        programs / "apt-get", f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncp {tiny_deb} .\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for _ in range(2):
        source = open_source("debian:tiny", tmp_path / "cache", lambda _: None)
        texts, _ = read(source.files[0].path)
        assert len(texts) == 3
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert calls[0].endswith("download -- tiny")


@pytest.mark.parametrize("name", ["--help", "Upper", "a/b", ""])
def test_no_debian_package_has_such_a_name(tmp_path, name):
    with pytest.raises(InputError, match="no name of a Debian package"):
        open_source(f"debian:{name}", tmp_path, lambda _: None)


def test_a_package_that_debian_does_not_have(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    apt = write(
        programs / "apt-get", "#!/bin/sh\necho 'E: Unable to locate package nope' >&2\nexit 100\n"
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(NotFoundError, match="apt-cache search"):
        open_source("debian:nope", tmp_path / "cache", lambda _: None)


@pytest.mark.slow
def test_a_real_debian_package(tmp_path):
    """Needs a Debian mirror: fetched by apt-get, a process of its own."""
    from kataribe.base.errors import DownloadError

    try:
        source = open_source("debian:hostname", tmp_path, lambda _: None)
    except (DownloadError, NotFoundError) as error:
        pytest.skip(f"no Debian mirror here: {error.message}")
    texts, _ = read(source.files[0].path)
    manual = next(t.text for t in texts if t.id.endswith("hostname.1.gz"))
    assert "set the system's host name" in manual
