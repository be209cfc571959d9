-- Refresh: a table of vectors that follows the catalogue. Every night costs what has changed since the last one.
-- Run from the repository's root: debut sql -f sql/refresh.sql
-- It makes the folder catalogue/, which is read like any folder of Parquet files.

CREATE TABLE monday AS
SELECT product_id, title, price, concat_ws('. ', title, nullif(trim(description), '')) AS text
FROM 'data/products.parquet' WHERE launched_at >= '2025-11-01';

SELECT added, changed, unchanged, removed, rows, version, reason
FROM refresh(source => (SELECT product_id, title, price, embed(text) AS vector FROM monday),
             target => 'catalogue/', key => 'product_id');

-- On Tuesday one title is another, and what was cheapest is gone.
CREATE TABLE tuesday AS
SELECT product_id, CASE WHEN product_id = last THEN 'Refill for ' || title ELSE title END AS title, price,
       CASE WHEN product_id = last THEN 'Refill for ' || text ELSE text END AS text
FROM monday CROSS JOIN (SELECT max(product_id) AS last, min(price) AS least FROM monday) WHERE price > least;

SELECT added, changed, removed, rows, version, reason
FROM refresh(source => (SELECT product_id, title, price, embed(text) AS vector FROM tuesday),
             target => 'catalogue/', key => 'product_id');

SELECT title, round(inner_product(vector, embed('a refill')), 3) AS similarity
FROM 'catalogue/' ORDER BY similarity DESC LIMIT 3;
