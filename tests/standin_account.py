"""The key's account: its plan, and the credits that its requests use up."""

from datetime import UTC, timedelta, timezone

from standin_rules import PLANS, refused

_NEM_ZONE = timezone(timedelta(hours=10))
_SHORTEST_KEY = 10


def utc(now):
    """Give the moment of the stand-in's clock, which shows naive NEM time."""
    return now.replace(tzinfo=_NEM_ZONE).astimezone(UTC)


class Account:
    """What a key has left of the day; days begin at midnight UTC. `credits` is None where they are unlimited."""

    def __init__(self, plan):
        self.plan = PLANS[plan]
        self.credits = self.plan.credits
        self._day = None

    def plan_of(self, key):
        """Give the plan that holds for a request: without a key, the free one."""
        return self.plan if key else PLANS["COMMUNITY"]

    def verify(self, now, *, cost):
        """Take a request's cost; a key without credits fails like one that is unknown, at whatever it asks."""
        day = utc(now).date()
        if self._day not in {None, day}:
            self.credits = self.plan.credits
        self._day = day
        if self.credits is None:
            return
        if self.credits <= 0:
            raise refused(401, "Authentication failed")
        self.credits -= cost

    def shown(self, now):
        """Give `data` of /me: what is not known has no key."""
        reset = utc(now).replace(microsecond=0, tzinfo=None) + timedelta(seconds=1)
        rate = {"limit": self.plan.burst, "remaining": self.plan.burst - 1, "reset": reset.isoformat() + "Z"}  # fmt: skip
        left = {} if self.credits is None else {"credits": {"remaining": self.credits}}
        return {"id": "key_1", "plan": self.plan.code, "roles": ["anonymous"], "rate_limit": rate} | left  # fmt: skip


def key_of(header, keys, *, optional):
    """Give the key of an Authorization header, or None where there is none and none is needed."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        if optional:
            return None
        raise refused(401, "Not authenticated")
    if len(key) < _SHORTEST_KEY:
        raise refused(401, "Invalid API key")
    if key not in keys:
        raise refused(401, "Authentication failed")
    return key


def envelope_time(now, zone):
    """Give `created_at`: the clock in another zone."""
    return utc(now).astimezone(zone).isoformat(timespec="seconds")
