"""Calls of opensearch-py and elasticsearch-py: `client.py PORT LOG TAG LIBRARY [PARTS]`.

LIBRARY is opensearch, opensearch-async or elasticsearch; PARTS some of the functions below
(documents,bulks), otherwise everything is done.
"""

import asyncio
import inspect
import sys

from truth import INDEX, PORT, call

LIBRARY = sys.argv[4]
PARTS = sys.argv[5].split(",") if len(sys.argv) > 5 else None
SYSTEM = LIBRARY.split("-")[0]
NAME = {"query": {"term": {"name": "secret"}}}
NAME_TEXT = '{"query":{"term":{"name":?}}}'


def connect(**arguments):
    url = f"http://127.0.0.1:{PORT}"
    if LIBRARY == "opensearch":
        from opensearchpy import OpenSearch
        return OpenSearch(url, **arguments)
    if LIBRARY == "opensearch-async":
        from opensearchpy import AsyncOpenSearch
        return AsyncOpenSearch(url, **arguments)
    from elasticsearch import Elasticsearch
    return Elasticsearch(url, **arguments)


async def ask(operation, index, method, /, *, status=200, size=None, failed=None, text=None, **arguments):
    with call(SYSTEM, operation, index, status=status, size=size, failed=failed, text=text) as params:
        answer = method(**arguments, params=params)
        return await answer if inspect.isawaitable(answer) else answer


async def indices(client):
    if SYSTEM == "opensearch":
        # The answer to which says what the server is.
        await ask("info", None, client.info)
    await ask("ping", None, client.ping)
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    await ask("indices.exists", INDEX, client.indices.exists, index=INDEX, status=404)
    await ask("indices.create", INDEX, client.indices.create, index=INDEX, body=settings)
    await ask("indices.create", INDEX, client.indices.create, index=INDEX, body=settings, status=400)
    await ask("indices.exists", INDEX, client.indices.exists, index=INDEX)
    mapping = {"properties": {"name": {"type": "keyword"}, "price": {"type": "long"}}}
    await ask("indices.put_mapping", INDEX, client.indices.put_mapping, index=INDEX, body=mapping)
    await ask("cluster.health", None, client.cluster.health)
    await ask("cat.indices", None, client.cat.indices)


async def documents(client):
    for n in range(5):
        body = {"name": "secret%d" % n, "price": n}
        await ask("index", INDEX, client.index, index=INDEX, id=str(n), body=body, status=201)
    await ask("index", INDEX, client.index, index=INDEX, body={"name": "secret"}, status=201)
    await ask("create", INDEX, client.create, index=INDEX, id="new", body={"name": "secret"}, status=201)
    await ask("create", INDEX, client.create, index=INDEX, id="new", body={"name": "secret"}, status=409)
    await ask("get", INDEX, client.get, index=INDEX, id="1")
    await ask("get", INDEX, client.get, index=INDEX, id="a/b c", status=404)
    await ask("exists", INDEX, client.exists, index=INDEX, id="1")
    await ask("exists", INDEX, client.exists, index=INDEX, id="none", status=404)
    await ask("get_source", INDEX, client.get_source, index=INDEX, id="1")
    await ask("mget", INDEX, client.mget, index=INDEX, body={"ids": ["1", "2", "none"]})
    await ask("update", INDEX, client.update, index=INDEX, id="2", body={"doc": {"price": 17}})
    await ask("delete", INDEX, client.delete, index=INDEX, id="3")
    await ask("indices.refresh", INDEX, client.indices.refresh, index=INDEX)


async def bulks(client):
    several = []
    for n in range(3):
        several += [{"index": {"_index": INDEX, "_id": f"b{n}"}}, {"name": "secret\n{}", "price": n}]
    await ask("bulk index", INDEX, client.bulk, body=several, size=3)
    mixed = [{"index": {"_id": "m1"}}, {"price": 1}, {"create": {"_id": "m2"}}, {"price": 2},
             {"update": {"_id": "m1"}}, {"doc": {"price": 3}}, {"delete": {"_id": "m2"}}]
    await ask("bulk", INDEX, client.bulk, index=INDEX, body=mixed, size=4)
    await ask("bulk delete", INDEX, client.bulk, index=INDEX, body=[{"delete": {"_id": "m1"}}, {"delete": {"_id": "none"}}], size=2)
    # Operations that fail: `"errors":true`.
    failing = [{"create": {"_id": "b0"}}, {"price": 1}, {"create": {"_id": "b9"}}, {"price": "x"}]
    await ask("bulk create", INDEX, client.bulk, index=INDEX, body=failing, size=2, failed=2)
    await ask("index", INDEX, client.bulk, index=INDEX, body=[{"index": {}}, {"price": 1}])
    await ask("bulk", INDEX, client.bulk, index=INDEX, body=[{"index": {}}], status=400)


async def medium(client):
    # More than is captured: the answer tells how many there are.
    some = [line for n in range(20) for line in ({"index": {"_id": f"s{n}"}}, {"name": "secret" * 200, "price": n})]
    some[-1]["price"] = "x"
    await ask("bulk", INDEX, client.bulk, index=INDEX, body=some, size=20, failed=1)


async def large(client):
    # The answer, too, is more than is captured: how many there are is not known.
    many = [line for n in range(1000) for line in ({"index": {}}, {"name": "secret" * 5, "price": n})]
    await ask("bulk", INDEX, client.bulk, index=INDEX, body=many)
    await ask("indices.refresh", INDEX, client.indices.refresh, index=INDEX)
    # An answer of some 100 KB.
    await ask("search", INDEX, client.search, index=INDEX, body={"size": 1000}, text='{"size":?}')


async def searches(client):
    for _ in range(10):
        await ask("search", INDEX, client.search, index=INDEX, body=NAME, text=NAME_TEXT)
    body = {"size": 5, "query": {"bool": {"filter": [{"range": {"price": {"gte": 1, "lt": 9}}},
            {"terms": {"name": ["secret1", "secret2"]}}]}}, "sort": [{"price": "desc"}, "_doc"],
            "aggs": {"by_name": {"terms": {"field": "name", "size": 3}}}}
    text = ('{"size":?,"query":{"bool":{"filter":[{"range":{"price":{"gte":?,"lt":?}}},'
            '{"terms":{"name":[?]}}]}},"sort":[{"price":?},?],"aggs":{"by_name":{"terms":{"field":?,"size":?}}}}')
    await ask("search", INDEX, client.search, index=INDEX, body=body, text=text)
    await ask("search", f"{INDEX},none*", client.search, index=f"{INDEX},none*", body=NAME, text=NAME_TEXT)
    await ask("search", "nowhere", client.search, index="nowhere", body=NAME, text=NAME_TEXT, status=404)
    broken = {"query": {"no_such_query": {"name": "secret"}}}
    await ask("search", INDEX, client.search, index=INDEX, body=broken, text='{"query":{"no_such_query":{"name":?}}}', status=400)
    await ask("count", INDEX, client.count, index=INDEX, body=NAME, text=NAME_TEXT)
    pair = [{"index": INDEX}, NAME, {}, {"size": 0}]
    await ask("msearch", INDEX, client.msearch, index=INDEX, body=pair, size=2, text='{"index":?}; %s; {}; {"size":?}' % NAME_TEXT)
    scrolled = await ask("search", INDEX, client.search, index=INDEX, body=NAME, scroll="1m", text=NAME_TEXT)
    await ask("scroll", None, client.scroll, body={"scroll_id": scrolled["_scroll_id"], "scroll": "1m"})
    await ask("clear_scroll", None, client.clear_scroll, body={"scroll_id": scrolled["_scroll_id"]})
    compressing = connect(http_compress=True)
    await ask("search", INDEX, compressing.search, index=INDEX, body=NAME)
    await close(compressing)


async def crowd(client):
    one = lambda: ask("search", INDEX, client.search, index=INDEX, body=NAME, text=NAME_TEXT)
    if LIBRARY.endswith("async"):
        await asyncio.gather(*[one() for _ in range(50)])


async def close(client):
    closed = client.close()
    if inspect.isawaitable(closed):
        await closed


async def main():
    client = connect()
    for part in (indices, documents, bulks, searches, medium, large, crowd):
        if PARTS is None or part.__name__ in PARTS:
            await part(client)
    await ask("indices.delete", INDEX, client.indices.delete, index=INDEX)
    await close(client)


asyncio.run(main())
