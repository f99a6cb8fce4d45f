/** The id by which rooms that are not its own know the pass. */
export const ENROLMENT_PASS = 'enrolment-pass';
