-- Search: the products nearest to a query.
-- Run sql/embed.sql first, then: debut sql -f sql/search.sql --param query='a gift for somebody who loves tea'

-- Search the stored vectors: only the query is embedded.
SELECT product_id, title, price, score FROM vector_search('products_embedded.parquet', $query, 5, 'vector');

-- The same in plain SQL, with filters.
SELECT product_id, title, price, score($query, vector) AS fit
FROM 'products_embedded.parquet'
WHERE launched_at >= '2025-10-01' AND price < 40
ORDER BY fit DESC LIMIT 5;
