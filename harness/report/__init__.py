"""Reports: the leaderboard as Markdown, JSON and self-contained HTML, and a page for every run."""

from harness.report.leaderboard import Leaderboard, build_leaderboard
from harness.report.site import read_runs, write_leaderboard

__all__ = ["Leaderboard", "build_leaderboard", "read_runs", "write_leaderboard"]
