"""What a machine has and lacks, and what each missing piece costs: `harness doctor`.

Every module finds; `harness.commands.doctor_command` draws.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Finding, State, Where

__all__ = ["Finding", "State", "Where", "examine"]


def examine(where: Where, checkout: bool) -> Iterator[Finding]:
    """Look at everything; takes seconds, most of them for importing torch.

    Args:
        where: the places that the command was told of.
        checkout: whether the project is used from its repository.
    """
    from harness.doctor import addresses, content, installed, machine, places

    yield installed.python_finding()
    yield from installed.package_findings()
    yield machine.memory_finding()
    yield from machine.torch_findings()
    if checkout:
        yield machine.browser_finding()
    default = content.find_default(where)
    yield from places.disk_findings(where, default.state == "present")
    yield places.journal_finding(where)
    yield from places.held_findings(where)
    yield places.lock_file_finding()
    yield addresses.hub_finding()
    yield from addresses.server_findings(where.base_url)
    yield places.models_folder_finding(where)
    yield from content.task_findings(where)
    yield from content.registry_findings(where)
    yield addresses.default_finding(default)
