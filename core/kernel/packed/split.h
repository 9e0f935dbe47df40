/* split: how rows, or the pixels of a row, are divided among tiles (a part of set_*.c). */

/* `rows` rows below one another as tiles of almost equal height: 49 are 4 of 6 and 5 of 5, and
 * never is the last tile a single row. The higher tiles come first. */
struct tile_split {
    int  height; /* of the lower tiles */
    long higher, lower;
};

INLINE struct tile_split tile_split(long rows, int most)
{
    const long tiles = (rows + most - 1) / most;

    return (struct tile_split){(int)(rows / tiles), rows % tiles, tiles - rows % tiles};
}
