"""All databases of one server. Their paths keep them apart; they share one clock."""

from service.local_firestore.clock import Clock
from service.local_firestore.database import Database, Retention
from service.local_firestore.names import database_of


class Store:
    """Databases by path. A database is made at first use, because here every project has one.

    `resume_window_s` and `read_retention_s` are shorter if more than `max_versions` superseded versions would have to
    be kept. `max_history` commits of each database are kept for its `history`.
    """

    def __init__(
        self,
        *,
        read_retention_s: float = 3600,
        resume_window_s: float = 1800,
        max_versions: int = 100_000,
        max_history: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.databases: dict[str, Database] = {}
        self._retention = Retention(
            int(read_retention_s * 1_000_000), int(resume_window_s * 1_000_000), max_versions, max_history
        )

    def database(self, project: str, database: str = "(default)") -> Database:
        return self.named(f"projects/{project}/databases/{database}")

    def named(self, name: str) -> Database:
        """The database in a resource name."""
        path = database_of(name)
        if path not in self.databases:
            self.databases[path] = Database(path, self.clock, self._retention)
        return self.databases[path]
