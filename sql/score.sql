-- Score: rank this month's launches by one customer's history.
-- Run sql/embed.sql first, then: debut sql -f sql/score.sql --param customer=42

CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'products_embedded.parquet';

-- The customer as a vector: the history relative to the catalogue, where recent purchases count more.
CREATE TABLE taste AS
SELECT profile(p.vector,
               i.quantity * exp(-date_part('day', TIMESTAMP '2025-12-31' - i.timestamp) / 180.0),
               (SELECT centroid(vector) FROM products)) AS vector
FROM 'data/interactions.parquet' i JOIN products p ON p.product_id = i.product_id
WHERE i.customer_id = $customer AND i.event <> 'view';

-- New products, best first.
SELECT rank() OVER (ORDER BY score(t.vector, p.vector) DESC) AS rank,
       p.title, p.price, p.launched_at::DATE AS launched, round(score(t.vector, p.vector), 4) AS fit
FROM products p CROSS JOIN taste t
WHERE p.launched_at >= '2025-12-01'
ORDER BY rank LIMIT 10;
