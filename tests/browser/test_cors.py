"""Pages of other origins, in a browser that enforces it: they may read only where CORS_ORIGINS names them."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Company, Serve

READ_STATUS = """url => fetch(url + '/status/import-1', { headers: { 'X-API-Key': 'a-key' } })
    .then(async answer => [(await answer.json()).process_id, answer.headers.get('X-Cache')], () => 'refused')"""
READ_EVENTS = """url => fetch(url + '/events', { headers: { 'X-API-Key': 'a-key' } }).then(async answer => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('import-1')) text += (await reader.read()).value;
    await reader.cancel();
    return text.includes('event: status');
}, () => 'refused')"""
LISTEN = """url => new Promise(resolve => {
    const source = new EventSource(url + '/status/import-1/events');
    source.addEventListener('status', event => { source.close(); resolve(JSON.parse(event.data).process_id) });
    source.onerror = () => { source.close(); resolve('refused') };
})"""


@pytest.fixture(autouse=True)
def process(company: Company) -> None:
    company.writes("import-1")


def test_a_page_of_a_named_origin_may_read_and_listen(
    company: Company, serve: Serve, page: Page, elsewhere: str
) -> None:
    service = serve(company.firestore, CORS_ORIGINS=f"https://app.example,{elsewhere}")
    assert page.evaluate(READ_STATUS, service.found) in (["import-1", "HIT"], ["import-1", "MISS"])
    assert page.evaluate(READ_EVENTS, service.found) is True
    assert page.evaluate(LISTEN, service.found) == "import-1"


@pytest.mark.parametrize("origins", [{}, {"CORS_ORIGINS": "https://app.example"}])
def test_a_page_of_any_other_origin_may_not(
    company: Company, serve: Serve, page: Page, origins: dict[str, str]
) -> None:
    service = serve(company.firestore, **origins)
    assert page.evaluate(READ_STATUS, service.found) == "refused"
    assert page.evaluate(READ_EVENTS, service.found) == "refused"
    assert page.evaluate(LISTEN, service.found) == "refused"


def test_a_key_may_be_sent_from_a_named_origin(company: Company, serve: Serve, page: Page, elsewhere: str) -> None:
    service = serve(company.firestore, CORS_ORIGINS=elsewhere, API_KEYS="a-key")
    assert page.evaluate(READ_STATUS, service.found) in (["import-1", "HIT"], ["import-1", "MISS"])
    assert page.evaluate(READ_EVENTS, service.found) is True
    assert page.evaluate(LISTEN, service.found) == "refused"
