-- Goods, a price and a stock of each, as an application's tables: every row was touched at a moment of its own.
-- Variables of psql: rows, schema.
SET search_path = :schema;
CREATE UNLOGGED TABLE goods AS
  SELECT md5(i::text)::uuid AS id,
         'Болт М' || i % 47 || ' ГОСТ ' || i % 7919 AS name,
         timestamp '2026-01-01' + i * interval '1 ms' AS updated_at
  FROM generate_series(1, :rows) i;
CREATE UNLOGGED TABLE prices AS
  SELECT id AS goods_id,
         'Розничная' AS price_type,
         (1 + abs(uuid_hash(id)::bigint) % 1000000 / 100.0)::numeric(12,2) AS price,
         updated_at
  FROM goods;
CREATE UNLOGGED TABLE stock AS
  SELECT id AS goods_id,
         'Основной' AS warehouse,
         (abs(uuid_hash(id)::bigint) % 500)::numeric(15,3) AS quantity,
         updated_at
  FROM goods;
ALTER TABLE goods ADD PRIMARY KEY (id);
ALTER TABLE prices ADD PRIMARY KEY (goods_id, price_type);
ALTER TABLE stock ADD PRIMARY KEY (goods_id, warehouse);
CREATE INDEX ON goods (updated_at);
CREATE INDEX ON prices (updated_at);
CREATE INDEX ON stock (updated_at);
VACUUM ANALYZE goods;
VACUUM ANALYZE prices;
VACUUM ANALYZE stock;
