"""Pages of the dashboard that people look at: what their browsers ask of a gateway.

``python benchmarks/dashboard_viewers.py PORT COUNT`` opens COUNT pages, the overview and the models
in turn, and keeps them live until it is stopped. Each does what ``static/live.js`` does: it loads
the page and the data of its charts, listens to the events, and after an event it loads the page and
the data again, at most every 10 seconds. It prints a line when all pages have got an event.
"""

import asyncio
import html
import re
import sys

import aiohttp

PAGES = ("/dashboard", "/dashboard/models")
REFRESH_SECONDS = 10.0
_SOURCE = re.compile(r'data-source="([^"]+)"')


async def load(session, page):
    """Load a page and the data of its charts."""
    async with session.get(page, headers={"accept": "text/html"}) as answer:
        text = await answer.text()
        assert answer.status == 200, text[:300]
    for source in _SOURCE.findall(text):
        async with session.get(html.unescape(source)) as answer:
            await answer.read()
            assert answer.status == 200, source


async def view(session, page, began):
    """Keep one page live."""
    loop = asyncio.get_running_loop()
    await load(session, page)
    refreshed, reload = loop.time(), None
    async with session.get("/dashboard/events", timeout=aiohttp.ClientTimeout(None)) as answer:
        assert answer.status == 200, answer.status
        async for line in answer.content:
            if line.startswith(b"event: tick"):
                began.set()
                if reload is None or reload.done():
                    wait = max(0.0, refreshed + REFRESH_SECONDS - loop.time())
                    refreshed = loop.time() + wait
                    reload = asyncio.create_task(later(session, page, wait))


async def later(session, page, seconds):
    """Load a page again after some seconds."""
    await asyncio.sleep(seconds)
    await load(session, page)


async def main(port, count):
    """View pages until cancelled."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        all_begun = [asyncio.Event() for _ in range(count)]
        views = [
            asyncio.create_task(view(session, PAGES[number % len(PAGES)], begun))
            for number, begun in enumerate(all_begun)
        ]
        for begun in all_begun:
            await begun.wait()
        print("viewing", flush=True)
        await asyncio.gather(*views)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
