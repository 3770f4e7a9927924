#!/usr/bin/env python3
"""A trade base of any size for measuring: goods, two prices each, stock in two or three warehouses.

    generate.py FOLDER OFFERS

writes FOLDER/trade/*.csv and FOLDER/pipelines/ with a project whose shop is a folder of JSON lines.
The same size gives the same bytes. Only the standard library is used.
"""

import pathlib
import random
import sys

WORDS = "Болт Гайка Шайба Саморез Анкер Дюбель Краска Кисть Лента Провод Розетка Лампа Кран Труба Муфта".split()

PROJECT = """project: bench
profile: bench
memory: {memory}
profiles:
  bench:
    trade: {{ type: files, path: ../trade }}
    shop: {{ type: files, path: ../shop, format: jsonl }}
"""

PIPELINE = """pipeline: offers
sources:
  goods:
    connection: trade
    entity: goods
    columns: { id: uuid, sku: string, name: string, deleted: bool }
    key: [id]
  prices:
    connection: trade
    entity: prices
    columns: { good: uuid, price_type: string, price: "decimal(15,2)", currency: string }
    key: [good, price_type]
  stock:
    connection: trade
    entity: stock
    columns: { good: uuid, warehouse: string, quantity: "decimal(15,3)" }
    key: [good, warehouse]
steps:
  offers: SELECT id, sku, name FROM goods WHERE NOT deleted
  offer_prices: SELECT good AS id, price_type, price, currency FROM prices
  offer_stock: SELECT good AS id, warehouse, quantity FROM stock
sinks:
  shop:
    connection: shop
    entity: offers
    from: offers
    key: [id]
    children:
      prices: { from: offer_prices, by: [id], key: [price_type] }
      stock: { from: offer_stock, by: [id], key: [warehouse] }
    deletes: mark
"""


def main() -> None:
    folder, offers = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    memory = sys.argv[3] if len(sys.argv) > 3 else "512MB"
    chance = random.Random(20261122)
    for part in ("trade", "pipelines"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "pipelines/obmen.yaml").write_text(PROJECT.format(memory=memory), encoding="utf-8")
    (folder / "pipelines/offers.yaml").write_text(PIPELINE, encoding="utf-8")
    with (
        (folder / "trade/goods.csv").open("w", encoding="utf-8") as goods,
        (folder / "trade/prices.csv").open("w", encoding="utf-8") as prices,
        (folder / "trade/stock.csv").open("w", encoding="utf-8") as stock,
    ):
        goods.write("id,sku,name,deleted\n")
        prices.write("good,price_type,price,currency\n")
        stock.write("good,warehouse,quantity\n")
        for number in range(offers):
            key = f"{chance.getrandbits(32):08x}-0000-4000-8000-{number:012x}"
            goods.write(f"{key},A-{number},{chance.choice(WORDS)} {number % 997} ГОСТ {number % 7919},false\n")
            price = chance.randrange(100, 10_000_000)
            prices.write(f"{key},Розничная,{price / 100:.2f},RUB\n{key},Оптовая,{price * 8 // 10 / 100:.2f},RUB\n")
            warehouses = ("Основной", "Магазин") if number % 2 else ("Основной", "Магазин", "Резерв")
            for name in warehouses:
                stock.write(f"{key},{name},{chance.randrange(0, 500)}\n")


main()
