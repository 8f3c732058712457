"""Write the tables of the tutorial: payments, accounts, labels, and those of the next day.

Nothing in them is real. Half a dozen devices are used by rings: a few fresh accounts that pay
several times within an hour, mostly large amounts. Some frauds belong to no ring, and some honest
people have a new account, pay a lot, or share a device with their family.

    python docs/tutorial/make_tables.py shop
"""

import csv
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2026, 3, 1)
DAYS = 28
HONEST = 60  # payments a day


def main(folder: Path) -> None:
    """Four weeks of payments, and one day more."""
    rng = np.random.default_rng(11)
    accounts = {}  # name: (opened, country)
    rows = []  # (at, account, device, amount, fraud)

    def account(opened: datetime) -> str:
        name = f"a{len(accounts) + 1}"
        accounts[name] = (opened, rng.choice(["DE", "FR", "PL"]))
        return name

    homes = []
    for number in range(300):
        homes.extend(  # some devices are a family's
            (account(START - timedelta(days=float(rng.uniform(5, 900)))), number)
            for _ in range(rng.choice([1, 1, 1, 2]))
        )
    for day in range(DAYS + 1):
        for _ in range(HONEST):
            at = START + timedelta(days=day, hours=float(rng.normal(15, 4) % 24))
            if rng.random() < 0.15:  # somebody new
                homes.append((account(at - timedelta(hours=float(rng.uniform(1, 40)))), len(homes)))
                who, device = homes[-1]
            else:
                who, device = homes[rng.integers(len(homes))]
            rows.append((at, who, device, float(rng.lognormal(4.1, 0.9)), 0))
            if rng.random() < 0.1:  # and again, soon after
                later = at + timedelta(minutes=float(rng.uniform(2, 50)))
                rows.append((later, who, device, float(rng.lognormal(4.1, 0.9)), 0))
        for ring in range(2):
            if rng.random() < 0.5 or day == DAYS:
                device = 1000 + 2 * day + ring
                first = START + timedelta(days=day, hours=float(rng.uniform(0, 22)))
                big = day == DAYS and ring == 0
                for _ in range(4 if big else rng.integers(2, 4)):
                    who = account(first - timedelta(hours=float(rng.uniform(2, 120))))
                    for _ in range(rng.integers(1, 3)):
                        late = rng.uniform(0, 20) if rng.random() < 0.4 else 0.0
                        at = first + timedelta(hours=float(late + rng.uniform(0, 0.9)))
                        rows.append((at, who, device, float(rng.lognormal(4.8, 0.7)), 1))
        if rng.random() < 0.4:  # a fraud of no ring
            who, device = homes[rng.integers(len(homes))]
            at = START + timedelta(days=day, hours=float(rng.uniform(0, 24)))
            rows.append((at, who, device, float(rng.lognormal(5.3, 0.6)), 1))
    rows.sort()
    end = START + timedelta(days=DAYS)
    rows = [(f"p{number:04}", *row) for number, row in enumerate(rows, 1)]
    past = [row for row in rows if row[1] < end]
    write(folder, past, {name: entry for name, entry in accounts.items() if entry[0] < end})
    write(folder / "tomorrow", rows, accounts)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["payment", "fraud"])  # as the case system has it: numbers, without the `p`
        table.writerows((int(row[0][1:]), row[-1]) for row in past)


def write(folder: Path, rows: list, accounts: dict) -> None:
    """The two tables of payments and accounts."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "payments.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["payment", "at", "account", "device", "amount"])
        for name, at, who, device, amount, _ in rows:
            table.writerow([name, f"{at:%Y-%m-%d %H:%M}", who, f"d{device}", f"{amount:.2f}"])
    with (folder / "accounts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["account", "opened", "country"])
        table.writerows(
            (name, f"{opened:%Y-%m-%d %H:%M}", land) for name, (opened, land) in accounts.items()
        )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "shop"))
