"""A trade base as CSV: goods, two prices each, stock in two or three warehouses.

    python -m suite.data.trade FOLDER OFFERS
"""

from __future__ import annotations

import json
import pathlib
import random
import sys

from .words import GOODS


def main() -> None:
    folder, offers = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(20261122)
    with (
        (folder / "goods.csv").open("w", encoding="utf-8") as goods,
        (folder / "prices.csv").open("w", encoding="utf-8") as prices,
        (folder / "stock.csv").open("w", encoding="utf-8") as stock,
    ):
        goods.write("id,sku,name,deleted\n")
        prices.write("good,price_type,price,currency\n")
        stock.write("good,warehouse,quantity\n")
        for number in range(offers):
            key = f"{chance.getrandbits(32):08x}-0000-4000-8000-{number:012x}"
            goods.write(f"{key},A-{number},{chance.choice(GOODS)} {number % 997} ГОСТ {number % 7919},false\n")
            price = chance.randrange(100, 10_000_000)
            prices.write(f"{key},Розничная,{price / 100:.2f},RUB\n{key},Оптовая,{price * 8 // 10 / 100:.2f},RUB\n")
            for name in warehouses(number):
                stock.write(f"{key},{name},{chance.randrange(0, 500)}\n")
    known = {"goods": offers, "prices": 2 * offers, "stock": sum(len(warehouses(number)) for number in range(offers))}
    (folder / "manifest.json").write_text(json.dumps(known), encoding="utf-8")


def warehouses(number: int) -> list[str]:
    """Where a good lies."""
    return ["Основной", "Магазин"] if number % 2 else ["Основной", "Магазин", "Резерв"]


if __name__ == "__main__":
    main()
