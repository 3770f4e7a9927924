"""An `offers0_1.xml` of CommerceML 2.07 of about a given size, as a trade base exports it for a shop.

    python -m suite.data.offers_xml FOLDER BYTES
"""

from __future__ import annotations

import json
import pathlib
import random
import sys

from .words import GOODS

HEAD = """\ufeff<?xml version="1.0" encoding="UTF-8"?>
<КоммерческаяИнформация xmlns="urn:1C.ru:commerceml_2" ВерсияСхемы="2.07" ДатаФормирования="2026-11-20T18:40:31">
	<ПакетПредложений СодержитТолькоИзменения="false">
		<Ид>5c1de0a0-0001-11ec-9b10-00155d0a3c17#</Ид>
		<Наименование>Пакет предложений</Наименование>
		<ИдКаталога>5c1de0a0-0001-11ec-9b10-00155d0a3c17</ИдКаталога>
		<ИдКлассификатора>5c1de0a0-0001-11ec-9b10-00155d0a3c17</ИдКлассификатора>
		<ТипыЦен>
{price_types}
		</ТипыЦен>
		<Склады>
{warehouses}
		</Склады>
		<Предложения>
"""
PRICE_TYPE = """			<ТипЦены>
				<Ид>{id}</Ид>
				<Наименование>{name}</Наименование>
				<Валюта>RUB</Валюта>
			</ТипЦены>"""
WAREHOUSE = """			<Склад>
				<Ид>{id}</Ид>
				<Наименование>{name}</Наименование>
			</Склад>"""
OFFER = """			<Предложение>
				<Ид>{id}</Ид>
				<Артикул>A-{number}</Артикул>
				<Наименование>{name}</Наименование>
				<БазоваяЕдиница Код="796 " НаименованиеПолное="Штука" МеждународноеСокращение="PCE">шт</БазоваяЕдиница>
				<Цены>
{prices}				</Цены>
				<Количество>{total}</Количество>
{stock}			</Предложение>
"""
PRICE = """					<Цена>
						<Представление>{price} RUB за шт</Представление>
						<ИдТипаЦены>{type}</ИдТипаЦены>
						<ЦенаЗаЕдиницу>{price}</ЦенаЗаЕдиницу>
						<Валюта>RUB</Валюта>
						<Единица>796</Единица>
						<Коэффициент>1</Коэффициент>
					</Цена>
"""
STOCK = """				<Склад ИдСклада="{warehouse}" КоличествоНаСкладе="{quantity}"/>
"""
TAIL = """		</Предложения>
	</ПакетПредложений>
</КоммерческаяИнформация>
"""
PRICE_TYPES = {"Розничная": "5c1de0a0-0201-11ec-9b10-00155d0a3c17", "Оптовая": "5c1de0a0-0202-11ec-9b10-00155d0a3c17"}
WAREHOUSES = {
    "Основной": "5c1de0a0-0301-11ec-9b10-00155d0a3c17",
    "Магазин": "5c1de0a0-0302-11ec-9b10-00155d0a3c17",
    "Резерв": "5c1de0a0-0303-11ec-9b10-00155d0a3c17",
}


def main() -> None:
    folder, size = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(20261122)
    written = offers = 0
    with (folder / "offers0_1.xml").open("wb", buffering=1 << 20) as file:
        written += file.write(head().encode())
        while written < size:
            written += file.write(offer(offers, chance).encode())
            offers += 1
        written += file.write(TAIL.encode())
    known = {"bytes": written, "offers": offers, "prices": 2 * offers, "stock": 3 * offers}
    (folder / "manifest.json").write_text(json.dumps(known), encoding="utf-8")


def head() -> str:
    """Everything before the first offer."""
    types = "\n".join(PRICE_TYPE.format(name=name, id=key) for name, key in PRICE_TYPES.items())
    places = "\n".join(WAREHOUSE.format(name=name, id=key) for name, key in WAREHOUSES.items())
    return HEAD.format(price_types=types, warehouses=places)


def offer(number: int, chance: random.Random) -> str:
    """One offer with two prices and three stocks."""
    price = chance.randrange(100, 10_000_000)
    prices = zip(PRICE_TYPES.values(), (price, price * 8 // 10), strict=True)
    quantities = [chance.randrange(0, 500) for _ in WAREHOUSES]
    return OFFER.format(
        id=f"{chance.getrandbits(32):08x}-0000-4000-8000-{number:012x}",
        number=number,
        name=f"{chance.choice(GOODS)} М{number % 47} ГОСТ {number % 7919}",
        prices="".join(PRICE.format(type=kind, price=f"{cents // 100}.{cents % 100:02d}") for kind, cents in prices),
        total=sum(quantities),
        stock="".join(
            STOCK.format(warehouse=place, quantity=quantity)
            for place, quantity in zip(WAREHOUSES.values(), quantities, strict=True)
        ),
    )


if __name__ == "__main__":
    main()
