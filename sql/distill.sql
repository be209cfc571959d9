-- A fast model: learn the default model's vectors from the shop's own titles, without labels, and search with the result.
-- Run from the repository's root: debut sql -f sql/distill.sql --param query='a gift for somebody who loves tea'

-- Of the default model's ten nearest titles of each title that was held out, so many are among the student's ten (metric).
SELECT epoch, round(metric, 2) AS overlap, version
FROM finetune(model => 'fast', objective => 'distill', student => 'static', publish => 'always',
  examples => (SELECT title AS text FROM 'data/products.parquet'))
ORDER BY epoch;

-- It is used as any other model.
SELECT product_id, title, round(score($query, title, 'fast'), 3) AS fit
FROM 'data/products.parquet' ORDER BY fit DESC, product_id LIMIT 5;
