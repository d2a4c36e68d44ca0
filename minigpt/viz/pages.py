"""Who uses which block of a paged cache, while requests come and go."""

from string import ascii_uppercase

import traitlets

from minigpt.viz.base import Widget, html_table, visible

MOST = len(ascii_uppercase)  # requests that get a letter


class Pages(Widget):
    """The blocks of a scheduler's pool at every step, and who waits or runs.

    `arrivals` is {step: requests that come before it}; `decode(id)` is a
    token's text. The scheduler is run until all are served.

    Raises ValueError for more requests than there are letters.
    """

    size = traitlets.Int().tag(sync=True)  # tokens in a block
    names = traitlets.List().tag(sync=True)  # letters of the requests
    steps = traitlets.List().tag(sync=True)

    def __init__(self, scheduler, arrivals, decode):
        every = [r for at in sorted(arrivals) for r in arrivals[at]]
        if not 1 <= len(every) <= MOST:
            raise ValueError(f"expected 1 to {MOST} requests, got {len(every)}")
        letters = dict(zip(every, ascii_uppercase))
        steps = []
        while len(steps) <= max(arrivals) or scheduler.is_busy():
            for request in arrivals.get(len(steps), ()):
                scheduler.add(request)
            served = scheduler.step()
            steps.append(snapshot(scheduler, letters, decode, served))
        super().__init__(
            size=scheduler.pool.size, names=list(letters.values()), steps=steps
        )

    def describe(self):
        """One sentence: how many people, blocks and steps."""
        blocks = len(self.steps[0]["blocks"])
        return (
            f"{len(self.names)} requests and {blocks} blocks of {self.size} "
            f"tokens in {len(self.steps)} steps: who uses which block."
        )

    def fallback(self):
        """Who runs and who waits at each step, as a table."""
        rows = [
            [
                i,
                " ".join(step["served"]),
                " ".join(step["waiting"]),
                sum(bool(block["users"]) for block in step["blocks"]),
            ]
            for i, step in enumerate(self.steps, 1)
        ]
        header = ["step", "served", "waiting", "blocks in use"]
        return html_table("Each step of the scheduler", header, rows)


def snapshot(scheduler, letters, decode, served):
    """What is in the pool after a step, as plain data."""
    pool = scheduler.pool
    blocks = [
        {
            "users": [],
            "text": words(pool.holds.get(b, ())[-pool.size :], decode),
        }
        for b in range(len(pool.users))
    ]
    texts = []
    for request in scheduler.running:
        letter, table = letters[request], request.text.table
        for place, block in enumerate(table):
            ids = request.text.ids[place * pool.size :][: pool.size]
            blocks[block]["users"].append(letter)
            blocks[block]["text"] = words(ids, decode)
        texts.append({"name": letter, "table": list(table)})
    return {
        "served": [letters[r] for r in served],
        "waiting": [letters[r] for r in scheduler.waiting],
        "ended": [letters[r] for r in served if r.finished],
        "texts": texts,
        "blocks": blocks,
    }


def words(ids, decode):
    """Ids -> the text of each token, as it can be seen."""
    return [visible(decode(i)) for i in ids]
