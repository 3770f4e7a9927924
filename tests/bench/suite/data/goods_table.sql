-- A table of goods with ten columns of all usual types. Variables of psql: rows, schema.
SET search_path = :schema;
CREATE UNLOGGED TABLE goods AS
  SELECT md5(i::text)::uuid AS id,
         'A-' || i AS sku,
         (100 + h % 10000000 / 100.0)::numeric(12,2) AS price,
         (h % 500000 / 1000.0)::numeric(15,3) AS quantity,
         (ARRAY['Болт', 'Гайка', 'Шайба', 'Краска', 'Кисть', 'Провод', 'Лампа', 'Труба'])[1 + h % 8] || ' М' || h % 47 || ' ГОСТ ' || i % 7919 AS name,
         date '2016-01-01' + (h % 3650)::int AS arrived,
         timestamp '2020-01-01' + h % 100000000 * interval '1 s' + i % 1000000 * interval '1 us' AS changed,
         h % 10 > 0 AS active,
         (h % 1000)::int AS pieces,
         CASE WHEN h % 4 > 0 THEN 'упаковка ' || h % 100 || ' шт, под заказ' END AS note
  FROM generate_series(1, :rows) i, LATERAL (SELECT abs(hashint8(i)::bigint) AS h) n;
ALTER TABLE goods ADD PRIMARY KEY (id);
VACUUM ANALYZE goods;
