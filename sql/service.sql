-- Service: a day's questions to customer service, each with its topic, and the article or the new product that answers it.
-- Run sql/recommend.sql first, then: debut sql -f sql/service.sql --param day=2025-12-30

CREATE TABLE asked AS
SELECT question_id, customer_id, question, article_id AS wanted
FROM 'data/questions.parquet' WHERE CAST(asked_at AS DATE) = CAST($day AS DATE);
CREATE TABLE earlier AS
SELECT question_id, question, topic, article_id FROM 'data/questions.parquet' WHERE CAST(asked_at AS DATE) < CAST($day AS DATE);

-- Topics are learned from the questions that were sorted by hand before.
SELECT epoch, round(metric, 3) AS accuracy, version
FROM finetune(
  model => 'topics', objective => 'classification', method => 'head', publish => 'always', epochs => 30,
  examples => (SELECT question AS text, topic AS label FROM earlier))
ORDER BY epoch DESC LIMIT 1;
CREATE TABLE sorted AS
SELECT *, read['label'] AS topic, round(read['probability'], 2) AS sure FROM (SELECT *, classify(question, 'topics') AS read FROM asked);

-- The articles, and the questions that they have answered before: customers ask in the words of customers.
CREATE TABLE passages AS
SELECT article_id, 'article' AS place, title || '. ' || text AS text FROM 'data/help.parquet'
UNION ALL
SELECT article_id, 'question ' || question_id, question FROM earlier WHERE article_id IS NOT NULL;

-- Each question with its best passage, where that stands, and the article.
SELECT q.question, q.topic, a.place, h.title AS answered_by, round(a.similarity, 2) AS similarity, a.article_id = a.wanted AS is_right
FROM answer(questions => (SELECT * FROM sorted), documents => (SELECT * FROM passages)) AS a
JOIN sorted AS q ON q.question_id = a.question_id
JOIN 'data/help.parquet' AS h ON h.article_id = a.article_id
WHERE q.topic <> 'product' ORDER BY a.similarity DESC;

-- Who looks for a product gets the three that fit best, with the probability of buying them.
SELECT question, title, price, round(similarity, 2) AS fits, round(score(customer_id, title, 'taste'), 4) AS probability
FROM answer(
  k => 3, questions => (SELECT customer_id, question FROM sorted WHERE topic = 'product'),
  documents => (SELECT title, price FROM 'data/products.parquet'), columns => 'text=title')
ORDER BY question, fits DESC;
