"""A job of mrjob, as its documentation begins with one."""

from collections.abc import Iterator

from mrjob.job import MRJob


class WordCount(MRJob):
    def mapper(self, _: None, line: str) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word, 1

    def reducer(self, word: str, counts: Iterator[int]) -> Iterator[tuple[str, int]]:
        yield word, sum(counts)


if __name__ == "__main__":
    WordCount.run()
