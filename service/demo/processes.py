"""One simulated process: a product import with a size, a speed and an end. Pure, and repeatable with a given Random."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

KINDS = ("import", "import", "import", "price-update", "stock-update", "catalog-sync")
SUPPLIERS = ("northwind", "acme", "contoso", "globex", "initech", "umbrella", "tailspin")
GOODS = ("Backpack", "Bottle", "Jacket", "Headlamp", "Tent", "Stove", "Rope", "Gloves", "Boots", "Compass")
MATERIALS = ("Canvas", "Steel", "Merino", "Alpine", "Trail", "Carbon", "Winter", "Ultralight")
COLOURS = ("black", "red", "olive", "sand", "navy")
SHOWN_PRODUCTS = 12
STEPS = 40
"""A process changes about this many times before it ends."""

Fate = Literal["completed", "failed", "cancelled"]
Product = dict[str, Any]


@dataclass(slots=True)
class SimulatedProcess:
    """`embeds_products`: products are in the document's own array; otherwise in a subcollection."""

    id: str
    csv_url: str
    start_time: datetime
    last_updated: datetime
    size: int
    fate: Fate
    ends_at: int  # the number of products at its end: `size`, or fewer if it fails or is cancelled
    failure_share: float
    embeds_products: bool
    products: list[tuple[str, Product]] = field(repr=False)
    status: str = "pending"
    end_time: datetime | None = None
    processed: int = 0
    failed: int = 0
    taken: int = 0  # the number of products that take_new_products has returned

    @property
    def is_running(self) -> bool:
        return self.end_time is None

    def advance(self, random: Random, now: datetime, steps: int = 1) -> None:
        """Make `steps` changes, the last of them at `now`. A process that has ended stays unchanged."""
        for _ in range(steps if self.is_running else 0):
            self.last_updated = now
            if self.status == "pending":
                self.status = "running"
                continue
            handled = min(self.ends_at, self.processed + self.failed + random.randint(1, 2 * self.size // STEPS + 1))
            new = handled - self.processed - self.failed
            newly_failed = sum(random.random() < self.failure_share for _ in range(min(new, 50)))
            self.failed += newly_failed
            self.processed += new - newly_failed
            if handled >= self.ends_at:
                self.status, self.end_time = self.fate, now
                return

    def play_to_the_end(self, random: Random) -> None:
        """Make all changes at once, with realistic times."""
        now = self.start_time
        while self.is_running:
            now += timedelta(seconds=random.uniform(2, 12))
            self.advance(random, now)

    def fields(self) -> dict[str, Any]:
        """The document."""
        fields: dict[str, Any] = {
            "status": self.status,
            "start_time": self.start_time,
            "last_updated": self.last_updated,
            "csv_url": self.csv_url,
            "products_processed": self.processed,
            "products_failed": self.failed,
        }
        if self.end_time is not None:
            fields["end_time"] = self.end_time
        if self.embeds_products:
            fields["products"] = [product for _, product in self.products[: self._shown()]]
        return fields

    def take_new_products(self) -> list[tuple[str, Product]]:
        """The new documents of the subcollection since the last call; none if products are embedded."""
        first, self.taken = self.taken, self._shown()
        return [] if self.embeds_products else self.products[first : self.taken]

    def product_ids_apart(self) -> list[str]:
        """The IDs of the subcollection's documents written so far."""
        return [] if self.embeds_products else [product_id for product_id, _ in self.products[: self.taken]]

    def _shown(self) -> int:
        return len(self.products) * (self.processed + self.failed) // self.size


def new_process(random: Random, start_time: datetime, example_id: str | None = None) -> SimulatedProcess:
    """A process that starts then. All its future except its speed is decided. An example leaves no process behind."""
    size = int(random.lognormvariate(5.5, 1.0)) + 20
    fate: Fate = random.choices(("completed", "failed", "cancelled"), weights=(84, 11, 5))[0]
    ends_at = size if fate == "completed" else max(1, int(size * random.uniform(0.05, 0.95)))
    process_id = example_id or f"{random.choice(KINDS)}-{start_time:%Y%m%d}-{random.getrandbits(24):06x}"
    folder = f"https://storage.googleapis.com/{random.choice(SUPPLIERS)}-feeds/{start_time:%Y/%m/%d}"
    return SimulatedProcess(
        id=process_id,
        csv_url=f"{folder}/{process_id}.csv",
        start_time=start_time,
        last_updated=start_time,
        size=size,
        fate=fate,
        ends_at=ends_at,
        failure_share=random.choice((0.0, 0.0, 0.01, 0.05)),
        embeds_products=random.random() < 0.6 or example_id is not None,
        products=[_product(random) for _ in range(min(size, SHOWN_PRODUCTS))],
    )


def _product(random: Random) -> tuple[str, Product]:
    sku = f"{random.choice(GOODS)[:3].upper()}-{random.randint(0, 99_999):05d}"
    name = f"{random.choice(MATERIALS)} {random.choice(GOODS)}, {random.choice(COLOURS)}"
    price = random.randint(499, 39_999) / 100
    return sku, {"sku": sku, "name": name, "price": price, "currency": "EUR", "stock": random.randint(0, 500)}
