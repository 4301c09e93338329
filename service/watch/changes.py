"""A change of one process, in the form for its waits and streams.

Changes of a process are ordered by `Change.key`. Each watcher remembers the key that its client has seen, and ignores
all changes that are not newer. So a change can arrive late, and from several sources. A version with unchanged content
is delivered too; each watcher compares it with the content that its client knows.
"""

from service.api.list_query import STALLED
from service.api.waits import TERMINAL, Wanted
from service.model.finishes import Finishes
from service.schema.compiled import ProcessSummary
from service.watch.event_frames import Frame, Identify, frame, removed_block, stalled_block, status_block


class Change:
    """The new state of a process. `summary` is None if it was deleted. `is_last`: its streams end with this change.

    `key` is the version; for a deletion it is the read time (µs) of the consistent point that reported the deletion.
    A later version of the same process has a greater key, an earlier version a smaller one.
    """

    __slots__ = (
        "_frame",
        "_identify",
        "_out_of_sight",
        "_stalled_frame",
        "is_last",
        "key",
        "process_id",
        "summary",
    )

    def __init__(
        self, process_id: str, key: int, summary: ProcessSummary | None, identify: Identify, *, is_last: bool
    ) -> None:
        self.process_id = process_id
        self._identify = identify
        self.key = key
        self.summary = summary
        self.is_last = is_last
        self._frame: Frame | None = None
        self._stalled_frame: Frame | None = None
        self._out_of_sight: Change | None = None

    def __repr__(self) -> str:
        return f"<Change {self.process_id} {self.key}{'' if self.summary else ' deleted'}>"

    def tells_nothing_new(self, seen: int) -> bool:
        """Whether a client that knows the version `seen` already knows this content."""
        return self.summary is not None and self.summary.is_same_as(seen)

    @property
    def out_of_sight(self) -> "Change":
        """The change for callers that do not see the process: for them it does not exist, or no longer exists."""
        if self._out_of_sight is None:
            deleted = Change(self.process_id, self.key, None, self._identify, is_last=True)
            self._out_of_sight = self if self.summary is None else deleted
        return self._out_of_sight

    @property
    def frame(self) -> Frame:
        """The event of this change, rendered once for all streams."""
        if self._frame is None:
            if self.summary is None:
                self._frame = frame(removed_block(self._identify(self.process_id), True, None))
            else:
                self._frame = frame(status_block(self.summary.body, self.key))
        return self._frame

    @property
    def is_stalled(self) -> bool:
        """Whether the process stalls. A client can know this version but not yet know that the process stalls."""
        return self.summary is not None and self.summary.is_stalled

    @property
    def stalled_frame(self) -> Frame:
        """The event which says that the process stalls, rendered once for all streams."""
        if self._stalled_frame is None:
            self._stalled_frame = frame(stalled_block(self._identify(self.process_id), self.key, None))
        return self._stalled_frame


class Changes:
    """Makes Change objects."""

    def __init__(self, finishes: Finishes, identify: Identify) -> None:
        self.has_ended = finishes.has_ended
        self._identify = identify

    def is_wanted(self, summary: ProcessSummary, wanted: Wanted) -> bool:
        """Whether a wait for these statuses ends with this one. A wait that names none ends with every change."""
        until = wanted.until
        if not until or summary.status in until:
            return True
        return (TERMINAL in until and self.has_ended(summary)) or (STALLED in until and summary.is_stalled)

    def upsert(self, summary: ProcessSummary) -> Change:
        """A new version."""
        return Change(summary.process_id, summary.version, summary, self._identify, is_last=self.has_ended(summary))

    def present(self, summary: ProcessSummary, seen: int) -> Change:
        """The present state.

        If a client with the version `seen` knows this content, the change has that older version.
        """
        is_last = self.has_ended(summary)
        return Change(summary.process_id, summary.known_as(seen), summary, self._identify, is_last=is_last)

    def deletion(self, process_id: str, read_time: int) -> Change:
        """The process no longer exists as of `read_time`."""
        return Change(process_id, read_time, None, self._identify, is_last=True)
