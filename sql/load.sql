-- Load: files are tables, so there is nothing to import. A first look at the data.
-- Run from the repository's root: debut sql -f sql/load.sql

-- A file can be queried by its name.
SELECT count(*) AS products,
       count(DISTINCT title) AS titles,
       count(*) FILTER (WHERE description IS NULL OR trim(description) = '') AS without_description,
       min(launched_at)::DATE AS first_launch,
       max(launched_at)::DATE AS last_launch
FROM 'data/products.parquet';

-- Or give it a short name for the rest of the session.
CREATE EXTERNAL TABLE interactions STORED AS PARQUET LOCATION 'data/interactions.parquet';

SELECT event, count(*) AS events, count(DISTINCT customer_id) AS customers, count(DISTINCT product_id) AS products
FROM interactions GROUP BY event ORDER BY events DESC;

-- New products by month of launch, and how many of them were bought.
SELECT date_trunc('month', p.launched_at)::DATE AS launched, count(*) AS products, count(i.product_id) AS bought
FROM 'data/products.parquet' p
LEFT JOIN (SELECT DISTINCT product_id FROM interactions WHERE event = 'purchase') i ON i.product_id = p.product_id
WHERE p.launched_at >= '2025-07-01'
GROUP BY 1 ORDER BY 1;
