-- Audience: the customers most likely to buy each launch of the last week.
-- Run sql/recommend.sql first, then: debut sql -f sql/audience.sql

SELECT p.title, a.rank, a.user_id AS customer_id, round(a.probability, 4) AS probability
FROM audience(
  model => 'taste', k => 3,
  items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM 'data/products.parquet'
            WHERE launched_at >= '2025-12-29')) AS a
JOIN 'data/products.parquet' AS p ON p.product_id = a.item_id
ORDER BY p.title, a.rank LIMIT 12;
