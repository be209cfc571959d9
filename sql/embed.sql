-- Embed: every product's text becomes a vector, once, and stays with the product.
-- Run from the repository's root: debut sql -f sql/embed.sql
-- It writes products_embedded.parquet, which the other files of the walk read. The vectors remember the model that made
-- them, in the file too: comparing them with another model's is an error.

COPY (
  SELECT product_id, title, category, price, launched_at,
         embed(concat_ws('. ', title, nullif(trim(description), ''))) AS vector
  FROM 'data/products.parquet'
) TO 'products_embedded.parquet' STORED AS PARQUET;

SELECT count(*) AS products, count(vector) AS vectors, arrow_typeof(first_value(vector)) AS type
FROM 'products_embedded.parquet';
