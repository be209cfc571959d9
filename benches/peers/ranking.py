"""faiss-cpu's exact search by inner products, for benches/ranking.rs.

Takes two files of little-endian float32 factors, users and items, their width, k and the number of threads; prints the seconds of
each search, then writes the items that were found (int64, users x k) behind the path that is given last.
"""

import sys
import time

import faiss
import numpy as np

users, items, width, k, threads, runs, found = sys.argv[1:]
faiss.omp_set_num_threads(int(threads))
users, items = (np.fromfile(path, dtype="<f4").reshape(-1, int(width)) for path in (users, items))
index = faiss.IndexFlatIP(int(width))
index.add(items)
index.search(users[:1000], int(k))
for _ in range(int(runs)):
    begun = time.perf_counter()
    _, ids = index.search(users, int(k))
    print("seconds", time.perf_counter() - begun)
ids.astype("<i8").tofile(found)
