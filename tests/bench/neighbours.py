"""What other programs took of the machine while a measurement ran: its figures say how much they are worth."""
import os
import resource
import signal
import sys

# Ended from outside, a script still stops what it started.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Neighbours:
    """From its making to share(); children of this process count as its own once they have been waited for."""

    def __init__(self):
        self.busy, self.total = self.jiffies()
        self.own = self.own_seconds()

    @staticmethod
    def jiffies():
        with open("/proc/stat") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    @staticmethod
    def own_seconds():
        return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
                   for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    def share(self):
        """0..1 of all cores; said on stdout."""
        busy, total = self.jiffies()
        own = (self.own_seconds() - self.own) * os.sysconf("SC_CLK_TCK")
        others = max(0.0, (busy - self.busy - own) / max(1, total - self.total))
        print("other programs took %.0f %% of the machine during the run%s" % (
            100 * others, ": its medians say little" if others > 0.1 else ""))
        return round(others, 4)
