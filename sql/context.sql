-- Context: search results ranked for one customer.
-- Run sql/embed.sql and sql/recommend.sql first, then:
--     debut sql -f sql/context.sql --param query='a gift for somebody who loves tea' --param customer=59

-- The 50 products nearest to the query, with the probability that the customer buys each.
CREATE TABLE found AS
SELECT title, score AS fit, score(CAST($customer AS BIGINT), title, 'taste') AS chance
FROM vector_search('products_embedded.parquet', $query, 50, 'vector');

-- Ranked by both: the log-odds of buying plus a weight for the fit.
SELECT title, round(fit, 3) AS fits_query, round(chance, 4) AS probability
FROM found ORDER BY ln(chance / (1 - chance)) + 10 * fit DESC LIMIT 10;
