/** A generation that says: this session has just become somebody's, ask which one it is. */
export const NEW_IDENTITY = -1;
