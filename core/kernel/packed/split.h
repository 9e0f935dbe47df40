/* split: how rows, or the pixels of a row, are divided among tiles (a part of set_*.c). */

/* Divide `rows` rows into tiles of at most `most` rows and almost equal height, the higher ones
 * first: with at most 6, 49 rows are 4 tiles of 6 and 5 of 5, instead of 8 of 6 and a slow one of
 * 1. */
struct tile_split {
    int  height; /* of the lower tiles */
    long higher, lower;
};

INLINE struct tile_split tile_split(long rows, int most)
{
    const long tiles = (rows + most - 1) / most;

    return (struct tile_split){(int)(rows / tiles), rows % tiles, tiles - rows % tiles};
}
