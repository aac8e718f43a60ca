"""A bare FastAPI endpoint that writes one row: what `web_load` measures the labelling app against.

The database is opened as Earmark opens it, so pool, durability and the order of writers are the same.

    python -m benchmarks._bare_server URL
"""

from __future__ import annotations

import sys
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from earmark.catalog.database import SCHEMA, Catalog, now_us, open_engine
from earmark.web.listening import listen, run

ROW = sa.Table(
    "bare",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("token", sa.String(64)),
    sa.Column("said", sa.JSON),
    sa.Column("at", sa.BigInteger),
)


class Body(BaseModel):
    """One row to write."""

    token: str
    values: dict[str, str]


def create_app(catalog: Catalog) -> FastAPI:
    app = FastAPI()

    @app.post("/row")
    def row(body: Body) -> dict[str, Any]:
        def work(connection: Connection) -> int:
            insert = sa.insert(ROW).values(token=body.token, said=body.values, at=now_us()).returning(ROW.c.id)
            return int(connection.execute(insert).scalar_one())

        return {"id": catalog.run(work)}

    return app


def main(url: str) -> None:
    with Catalog(open_engine(url)) as catalog:
        with catalog.write() as connection:
            if not catalog.is_sqlite:
                connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            ROW.metadata.create_all(connection)
        with listen("127.0.0.1", 0) as socket:
            print(f"serving at http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
            run(create_app(catalog), socket, behind_proxy=False)


if __name__ == "__main__":
    main(sys.argv[1])
