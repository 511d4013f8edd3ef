"""SQLAlchemy on psycopg2 or asyncpg; what it asks is its own affair: the server's log says it. Arguments: PORT LOG DRIVER."""

import asyncio
import sys

from sqlalchemy import Column, Integer, String, create_engine, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import declarative_base

from truth import PORT, asked

driver = sys.argv[3]
Base = declarative_base()


class Order(Base):
    __tablename__ = f"orders_{driver}"
    id = Column(Integer, primary_key=True)
    name = Column(String)


def work(connection):
    Base.metadata.create_all(connection)
    connection.execute(insert(Order), [{"id": n, "name": f"secret{n}"} for n in range(40)])
    connection.commit()
    for n in range(10):
        assert connection.execute(select(Order).where(Order.id == n)).one().id == n
    assert len(connection.execute(select(Order).where(Order.id.in_([1, 2, 3]))).all()) == 3
    connection.commit()
    try:
        connection.execute(insert(Order).values(id=1, name="secret"))
    except IntegrityError:
        connection.rollback()


def port_of(connection):
    """The client's port, as the server sees it."""
    return connection.exec_driver_sql("SELECT inet_client_port()").scalar()


url = f"postgresql+{driver}://postgres@127.0.0.1:{PORT}/postgres"


def run(connection):
    port = port_of(connection)
    with asked(port):
        work(connection)


async def main():
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if driver == "asyncpg":
    asyncio.run(main())
else:
    engine = create_engine(url)
    with engine.connect() as connection:
        run(connection)
    engine.dispose()
