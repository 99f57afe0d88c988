"""A coordinator and its nodes over a virtual network and clock, seeded. ``--seed`` replays a run."""
