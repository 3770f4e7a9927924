-- Catalogues that were imported.
CREATE TABLE IF NOT EXISTS catalogues (
    id TEXT PRIMARY KEY,              -- Каталог/Ид
    name TEXT NOT NULL,
    imported INTEGER NOT NULL         -- when last, in seconds since 1970
) STRICT;

-- The group tree.
CREATE TABLE IF NOT EXISTS groups (
    id TEXT PRIMARY KEY,              -- Группа/Ид
    parent TEXT,                      -- the group around it; NULL at the top
    name TEXT NOT NULL
) STRICT;

-- Properties goods can have.
CREATE TABLE IF NOT EXISTS properties (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL                -- Строка, Число, Время, Справочник
) STRICT;

-- Values of properties of the kind Справочник.
CREATE TABLE IF NOT EXISTS property_values (
    property TEXT NOT NULL REFERENCES properties (id) ON DELETE CASCADE,
    id TEXT NOT NULL,                 -- ИдЗначения
    value TEXT NOT NULL,
    PRIMARY KEY (property, id)
) STRICT, WITHOUT ROWID;

-- Goods.
CREATE TABLE IF NOT EXISTS goods (
    id TEXT PRIMARY KEY,              -- Товар/Ид
    catalogue TEXT NOT NULL,          -- the catalogue it came in
    name TEXT NOT NULL,
    sku TEXT,                         -- Артикул
    barcode TEXT,                     -- Штрихкод
    description TEXT,
    unit TEXT,                        -- шт
    unit_code TEXT,                   -- 796
    vat TEXT,                         -- as written: 20, Без НДС
    version TEXT,                     -- НомерВерсии; the same one again = the product is skipped
    active INTEGER NOT NULL,          -- 0: switched off by a delete mark or by mode=deactivate
    deleted INTEGER NOT NULL,         -- 1: the last file marked it as deleted
    updated INTEGER NOT NULL          -- when a file touched it last, in seconds since 1970
) STRICT;
CREATE INDEX IF NOT EXISTS goods_by_catalogue ON goods (catalogue);

-- Groups of a product.
CREATE TABLE IF NOT EXISTS goods_groups (
    product TEXT NOT NULL REFERENCES goods (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL,
    PRIMARY KEY (product, group_id)
) STRICT, WITHOUT ROWID;

-- Property values of a product.
CREATE TABLE IF NOT EXISTS goods_properties (
    product TEXT NOT NULL REFERENCES goods (id) ON DELETE CASCADE,
    property TEXT NOT NULL,           -- Свойство/Ид
    value TEXT NOT NULL,              -- as sent: the text, or the ИдЗначения of a Справочник
    PRIMARY KEY (product, property, value)
) STRICT, WITHOUT ROWID;

-- Requisites of a product.
CREATE TABLE IF NOT EXISTS goods_requisites (
    product TEXT NOT NULL REFERENCES goods (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (product, name, value)
) STRICT, WITHOUT ROWID;

-- Pictures of a product, the main one first.
CREATE TABLE IF NOT EXISTS goods_pictures (
    product TEXT NOT NULL REFERENCES goods (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (product, position)
) STRICT, WITHOUT ROWID;

-- Kinds of prices.
CREATE TABLE IF NOT EXISTS price_types (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    currency TEXT
) STRICT;

-- Warehouses.
CREATE TABLE IF NOT EXISTS warehouses (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- Offers: a product, or a product with a characteristic.
CREATE TABLE IF NOT EXISTS offers (
    id TEXT PRIMARY KEY,              -- product, or product#characteristic
    product TEXT NOT NULL REFERENCES goods (id) ON DELETE CASCADE,
    characteristic TEXT,              -- what is after the #
    catalogue TEXT NOT NULL,          -- ИдКаталога of its package
    name TEXT,
    sku TEXT,
    barcode TEXT,
    unit TEXT,
    quantity TEXT,                    -- Количество, exact; NULL: never sent
    active INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS offers_by_product ON offers (product);
CREATE INDEX IF NOT EXISTS offers_by_catalogue ON offers (catalogue);

-- Prices of an offer.
CREATE TABLE IF NOT EXISTS prices (
    offer TEXT NOT NULL REFERENCES offers (id) ON DELETE CASCADE,
    price_type TEXT NOT NULL,         -- ТипЦены/Ид
    price TEXT NOT NULL,              -- exact, digits as sent, point as divider
    currency TEXT,
    unit TEXT,
    ratio TEXT,                       -- Коэффициент
    PRIMARY KEY (offer, price_type)
) STRICT, WITHOUT ROWID;

-- Stock of an offer.
CREATE TABLE IF NOT EXISTS stock (
    offer TEXT NOT NULL REFERENCES offers (id) ON DELETE CASCADE,
    warehouse TEXT NOT NULL,          -- Склад/Ид
    quantity TEXT NOT NULL,           -- exact
    PRIMARY KEY (offer, warehouse)
) STRICT, WITHOUT ROWID;

-- Exchange sessions.
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,            -- UTC
    user TEXT NOT NULL,
    type TEXT NOT NULL                -- catalog, sale
) STRICT;

-- Requests, the last 20 000.
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,
    session INTEGER,                  -- NULL: nobody who was let in
    at TEXT NOT NULL,                 -- UTC
    type TEXT NOT NULL,
    mode TEXT NOT NULL,
    filename TEXT NOT NULL,
    bytes INTEGER NOT NULL,           -- uploaded
    answer TEXT NOT NULL              -- its text; never a cookie or token
) STRICT;

-- What the shop remembers for ever (`sessid_in_use`).
CREATE TABLE IF NOT EXISTS flags (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
