-- Context: what somebody searches for, in the order of what this customer likes.
-- Run sql/embed.sql and sql/recommend.sql first, then:
--     debut sql -f sql/context.sql --param query='a gift for somebody who loves tea' --param customer=59

-- The products nearest to the words, and of these the ones that the customer takes to most.
CREATE TABLE found AS
SELECT title, score AS fit, score(CAST($customer AS BIGINT), title, 'taste') AS chance
FROM vector_search('products_embedded.parquet', $query, 50, 'vector');

SELECT title, round(fit, 3) AS fits_query, round(chance, 4) AS probability
FROM found ORDER BY ln(chance / (1 - chance)) + 10 * fit DESC LIMIT 10;
