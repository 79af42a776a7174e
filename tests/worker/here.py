"""The training worker without its children: what they would do is done in this process, which has loaded
torch already. That a child can be cancelled, killed and gone on with is what `test_learner` and
`test_train_job` are about.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from app.commands import jobs
from app.commands.jobs import JobToDo
from app.records.engine import transaction
from worker.learning.child import outcome
from worker.learning.learner import Learner


class LearnerHere(Learner):
    """Does each job here, at the usual priority; what crosses to a child and back is JSON here too."""

    def _in_child(self, job: JobToDo, order: dict[str, Any], stop: threading.Event) -> dict[str, Any]:
        told: list[dict[str, Any]] = []
        came: dict[str, Any] = outcome(
            json.loads(json.dumps(order)), report=lambda *_: None, tell=lambda **event: told.append(event)
        )
        with transaction() as session:
            jobs.keep(
                session,
                job_id=job.id,
                worker=self._name,
                seconds=60,
                progress={},
                told=json.loads(json.dumps(told, default=list)),
            )
        return dict(json.loads(json.dumps(came, default=list)))
