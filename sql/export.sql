-- Export: the ten best launches for every customer, as a file for a mailing.
-- Run sql/embed.sql first, then: debut sql -f sql/export.sql
-- A scheduler can run this every night: the file appears only when it is complete.

CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'products_embedded.parquet';

COPY (
  WITH tastes AS (
    SELECT i.customer_id,
           profile(p.vector, i.quantity::DOUBLE, (SELECT centroid(vector) FROM products)) AS vector
    FROM 'data/interactions.parquet' i JOIN products p ON p.product_id = i.product_id
    WHERE i.event = 'purchase'
    GROUP BY i.customer_id
  ),
  ranked AS (
    SELECT t.customer_id, p.product_id, score(t.vector, p.vector) AS fit,
           row_number() OVER (PARTITION BY t.customer_id ORDER BY score(t.vector, p.vector) DESC, p.product_id) AS rank
    FROM tastes t CROSS JOIN products p
    WHERE p.launched_at >= '2025-12-16'
  )
  SELECT customer_id, rank, product_id, fit FROM ranked WHERE rank <= 10 ORDER BY customer_id, rank
) TO 'launch_mailing.parquet' STORED AS PARQUET;

SELECT count(*) AS rows, count(DISTINCT customer_id) AS customers, count(DISTINCT product_id) AS products,
       round(avg(fit), 4) AS mean_fit
FROM 'launch_mailing.parquet';
