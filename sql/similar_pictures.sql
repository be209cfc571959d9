-- Similar pictures: products that look like one, whatever is written about them.
-- Run from the repository's root: debut sql -f sql/similar_pictures.sql --param product=10013
-- The shop has pictures of its kitchen products. Pictures are embedded once, by debut.image_model.

COPY (
  SELECT p.product_id, p.title, p.price, p.launched_at, embed(f.image) AS vector
  FROM 'data/pictures.parquet' AS f JOIN 'data/products.parquet' AS p ON p.product_id = f.product_id
) TO 'pictures_embedded.parquet' STORED AS PARQUET;

SELECT other.product_id, other.title, other.price, round(score(one.vector, other.vector), 3) AS looks_alike
FROM 'pictures_embedded.parquet' AS one CROSS JOIN 'pictures_embedded.parquet' AS other
WHERE one.product_id = CAST($product AS BIGINT) AND other.product_id <> one.product_id
ORDER BY looks_alike DESC, other.product_id LIMIT 6;
