"""Small real Word files and books for the tests of the library."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence


def docx(body: str, parts: Mapping[str, str] | None = None) -> bytes:
    """A Word file with this body, in WordprocessingML, and further parts by their names."""
    namespace = "http://schemas.openxmlformats.org"
    content = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return _archive(
        {
            "[Content_Types].xml": f'<Types xmlns="{namespace}/package/2006/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{content}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{namespace}/package/2006/relationships"><Relationship Id="rId1" '
            f'Type="{namespace}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
            "</Relationships>",
            "word/document.xml": f'<w:document xmlns:w="{namespace}/wordprocessingml/2006/main">'
            f"<w:body>{body}</w:body></w:document>",
            **(parts or {}),
        }
    )


def epub(chapters: Sequence[str], parts: Mapping[str, str] | None = None) -> bytes:
    """A book of these chapters, the bodies of XHTML, in this order; its files lie in the archive in the other one."""
    names = [f"c{number}" for number in range(len(chapters))]
    items = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in reversed(names))
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    pages = {
        f"OEBPS/{name}.xhtml": '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>{name}</title></head><body>{body}</body></html>"
        for name, body in zip(names, chapters, strict=True)
    }
    return _archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container version="1.0" '
            'xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile '
            'full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "OEBPS/content.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A book</dc:title>'
            '<dc:identifier id="id">x</dc:identifier><dc:language>en</dc:language></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
            **dict(reversed(pages.items())),
            **(parts or {}),
        }
    )


def _archive(files: Mapping[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()
