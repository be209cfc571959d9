-- Embed: turn every product's text into a vector, once, and keep it with the product.
-- Run from the repository's root: debut sql -f sql/embed.sql
-- It writes products_embedded.parquet, which the next examples read. The file records which model made the vectors:
-- comparing them with vectors of another model is an error.

COPY (
  SELECT product_id, title, category, price, launched_at,
         embed(concat_ws('. ', title, nullif(trim(description), ''))) AS vector
  FROM 'data/products.parquet'
) TO 'products_embedded.parquet' STORED AS PARQUET;

SELECT count(*) AS products, count(vector) AS vectors, arrow_typeof(first_value(vector)) AS type
FROM 'products_embedded.parquet';
