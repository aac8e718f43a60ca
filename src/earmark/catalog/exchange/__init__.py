"""Labels in and out of the catalog: one small module a format, each `read(path, ...)` and `write(path, ...)`.

`earmark.catalog.exchange.importing` and `exporting` stand between the formats and the database.
"""
