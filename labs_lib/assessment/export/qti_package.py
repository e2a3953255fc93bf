"""Several of text2qti's quizzes in one archive, and their questions' tags.

text2qti writes an archive for one quiz. Canvas takes in as many as the manifest lists.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

_QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
_MANIFEST = "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
_PREFIXES = {
    "lom": "http://ltsc.ieee.org/xsd/imsccv1p1/LOM/resource",
    "imsmd": "http://www.imsglobal.org/xsd/imsmd_v1p2",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}


def package(quizzes: Sequence[Any], tags: Mapping[str, Sequence[str]]) -> bytes:
    """Return the archive of text2qti's `QTI` objects; `tags` are those of an item by its title."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, content: bytes | str) -> None:
            # With no date, so that the same questions give the same file.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

        add("imsmanifest.xml", _manifest([quiz.imsmanifest_xml for quiz in quizzes]))
        for quiz in quizzes:
            folder = quiz.assessment_identifier
            add(f"{folder}/assessment_meta.xml", quiz.assessment_meta)
            add(f"{folder}/{folder}.xml", _tagged(quiz.assessment, tags))
    return stream.getvalue()


def _manifest(manifests: Sequence[str]) -> bytes:
    """Return one manifest with the resources of all."""
    first, *others = (ET.fromstring(each.encode()) for each in manifests)
    resources = first.find(f"{{{_MANIFEST}}}resources")
    if resources is None:
        raise ValueError("text2qti wrote a manifest without resources")
    for other in others:
        resources.extend(other.iterfind(f"{{{_MANIFEST}}}resources/*"))
    return _written(first, _MANIFEST)


def _tagged(assessment: str, tags: Mapping[str, Sequence[str]]) -> bytes:
    """Return a quiz in which the metadata of each item names its tags."""
    root = ET.fromstring(assessment.encode())
    for item in root.iter(f"{{{_QTI}}}item"):
        for fields in item.iter(f"{{{_QTI}}}qtimetadata"):
            for tag in tags.get(item.get("title", ""), ()):
                field = ET.SubElement(fields, f"{{{_QTI}}}qtimetadatafield")
                ET.SubElement(field, f"{{{_QTI}}}fieldlabel").text = "tag"
                ET.SubElement(field, f"{{{_QTI}}}fieldentry").text = tag
    return _written(root, _QTI)


def _written(root: ET.Element, namespace: str) -> bytes:
    # The empty prefix is the one of the last who registers it.
    for prefix, uri in {**_PREFIXES, "": namespace}.items():
        ET.register_namespace(prefix, uri)
    return ET.tostring(root, encoding="UTF-8", xml_declaration=True)
