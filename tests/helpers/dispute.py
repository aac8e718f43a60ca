"""A clip that two people disagree about."""

from __future__ import annotations

from earmark.catalog.database import Catalog
from earmark.catalog.labelling import submit
from earmark.catalog.people import find_person
from earmark.catalog.queueing import next_clips
from earmark.catalog.tasks import add_clips_to_task, new_task


def make_dispute(catalog: Catalog) -> None:
    """Of task `two`, overlap 2, clips 2 and 3: bo hears sax in both, ada in clip 3 alone."""
    new_task(catalog, "two", ["sax"], overlap=2)
    add_clips_to_task(catalog, "two", [2, 3])
    for person, value in (("bo", "present"), ("ada", "absent")):
        for held in next_clips(catalog, "two", find_person(catalog, person).id, 2):
            submit(catalog, held.token, {"sax": value if held.clip_id == 2 else "present"})
