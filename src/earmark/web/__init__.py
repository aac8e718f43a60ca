"""The labelling app: pages and a JSON API over a catalog. FastAPI is imported in this room only."""
